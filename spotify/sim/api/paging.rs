//! Pages, as the document's `PagingObject` has them.

use std::ops::Range;

use serde_json::{Value, json};
use url::form_urlencoded;

use super::extract::Params;
use crate::sim::error::ApiError;

/// The part of a list that a client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

impl Page {
    /// Items of a playlist, or playlists: 20 a page unless asked, 50 at most.
    pub(crate) const LIST: Self = Self {
        limit: 20,
        offset: 0,
    };
    const LIST_MAX: Self = Self {
        limit: 50,
        offset: 100_000,
    };
    /// Results of a search: 5 a page unless asked, 10 at most, none beyond offset 1,000.
    const SEARCH: Self = Self {
        limit: 5,
        offset: 0,
    };
    const SEARCH_MAX: Self = Self {
        limit: 10,
        offset: 1_000,
    };

    pub(crate) fn of_list(params: &Params) -> Result<Self, ApiError> {
        Self::within(params, Self::LIST, Self::LIST_MAX)
    }

    pub(crate) fn of_search(params: &Params) -> Result<Self, ApiError> {
        Self::within(params, Self::SEARCH, Self::SEARCH_MAX)
    }

    fn within(params: &Params, default: Self, max: Self) -> Result<Self, ApiError> {
        Ok(Self {
            limit: params.number("limit", default.limit, max.limit, "Invalid limit")?,
            offset: params.number("offset", default.offset, max.offset, "Invalid offset")?,
        })
    }

    /// The indices of this page in a list of `total`.
    pub(crate) fn range(self, total: usize) -> Range<usize> {
        let start = self.offset.min(total);
        start..start.saturating_add(self.limit).min(total)
    }

    /// The page as JSON. `url` is where the list lives; `query` is what has to be asked besides
    /// `offset` and `limit` to get there again.
    pub(crate) fn object(
        self,
        url: &str,
        query: &[(&str, &str)],
        items: Vec<Value>,
        total: usize,
    ) -> Value {
        let link = |offset: usize| {
            let mut pairs = form_urlencoded::Serializer::new(String::new());
            pairs.extend_pairs(query);
            pairs.append_pair("offset", &offset.to_string());
            pairs.append_pair("limit", &self.limit.to_string());
            format!("{url}?{}", pairs.finish())
        };
        let end = self.offset.saturating_add(self.limit);
        let next = (self.limit > 0 && end < total).then(|| link(end));
        let previous = (self.offset > 0).then(|| link(self.offset.saturating_sub(self.limit)));
        json!({
            "href": link(self.offset),
            "items": items,
            "limit": self.limit,
            "next": next,
            "offset": self.offset,
            "previous": previous,
            "total": total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_neighbours() {
        let page = Page {
            limit: 10,
            offset: 10,
        };
        let object = page.object("http://x/v1/search", &[("q", "a b")], Vec::new(), 25);
        assert_eq!(
            object["next"],
            "http://x/v1/search?q=a+b&offset=20&limit=10"
        );
        assert_eq!(
            object["previous"],
            "http://x/v1/search?q=a+b&offset=0&limit=10"
        );
    }

    #[test]
    fn the_last_page_has_no_next_and_the_first_no_previous() {
        let page = Page {
            limit: 10,
            offset: 0,
        };
        let object = page.object("http://x", &[], Vec::new(), 10);
        assert_eq!(
            (&object["next"], &object["previous"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn a_page_beyond_the_end_is_empty() {
        let page = Page {
            limit: 10,
            offset: 30,
        };
        assert!(page.range(25).is_empty());
        assert_eq!(
            Page {
                limit: 10,
                offset: 20
            }
            .range(25),
            20..25
        );
    }
}
