//! What stands in the headers of Temporal: the context of a trace, and whose sync it is.

use std::collections::HashMap;

use segue_spans::Fields;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use temporalio_common::protos::temporal::api::common::v1::{Header, Payload};
use tracing::Span;

/// The headers as interceptors see them.
pub(super) type Headers = HashMap<String, Payload>;

/// The key under which Temporal's SDKs, whatever their language, keep the context of a trace.
const TRACE: &str = "_tracer-data";
/// The key under which it stands whose sync it is.
const ORIGIN: &str = "segue-origin";
/// Bytes of a header that are read.
const LARGEST: usize = 4_096;

/// Whose sync a step belongs to, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sync_id: Option<String>,
    /// Its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
}

impl Origin {
    /// Notes it in a span that has the fields for it.
    pub(super) fn record(&self, span: &Span) {
        if let Some(sync_id) = &self.sync_id {
            span.record("sync_id", &**sync_id);
        }
        if let Some(user) = &self.user {
            span.record("user", &**user);
        }
    }

    fn is_unknown(&self) -> bool {
        self.sync_id.is_none() && self.user.is_none()
    }
}

/// The context that these headers carry.
pub(super) fn fields(headers: &Headers) -> Fields {
    read::<Fields>(headers, TRACE).unwrap_or_default().bounded()
}

/// Whose sync these headers say it is.
pub(super) fn origin(headers: &Headers) -> Origin {
    read(headers, ORIGIN).unwrap_or_default()
}

/// Puts both there. What is not known is left out.
pub(super) fn write(headers: &mut Headers, fields: &Fields, origin: &Origin) {
    if !fields.is_empty() {
        write_one(headers, TRACE, fields);
    }
    if !origin.is_unknown() {
        write_one(headers, ORIGIN, origin);
    }
}

/// The same in a call of the client's.
pub(super) fn write_into(header: &mut Option<Header>, fields: &Fields) {
    if !fields.is_empty() {
        let headers = &mut header.get_or_insert_default().fields;
        write_one(headers, TRACE, fields);
    }
}

fn read<T: DeserializeOwned>(headers: &Headers, key: &str) -> Option<T> {
    let payload = headers.get(key)?;
    let data = Some(&payload.data).filter(|data| data.len() <= LARGEST)?;
    serde_json::from_slice(data).ok()
}

fn write_one<T: Serialize>(headers: &mut Headers, key: &str, value: &T) {
    // Texts in a map are always JSON.
    let Ok(data) = serde_json::to_vec(value) else {
        return;
    };
    let payload = Payload {
        metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
        data,
        ..Payload::default()
    };
    headers.insert(key.to_owned(), payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_that_is_too_large() {
        let mut headers = Headers::new();
        let origin = Origin {
            sync_id: Some("sync-1".to_owned()),
            user: None,
        };
        let fields = Fields::read(|name| (name == "tracestate").then_some("a=b"));
        write(&mut headers, &fields, &origin);
        assert_eq!(super::origin(&headers), origin);
        assert_eq!(super::fields(&headers), fields);
        let large = Origin {
            sync_id: Some("x".repeat(LARGEST)),
            user: None,
        };
        write(&mut headers, &Fields::default(), &large);
        assert_eq!(super::origin(&headers), Origin::default());
    }

    #[test]
    fn nothing_is_written_of_what_is_not_known() {
        let mut headers = Headers::new();
        write(&mut headers, &Fields::default(), &Origin::default());
        assert!(headers.is_empty());
        let mut header = None;
        write_into(&mut header, &Fields::default());
        assert!(header.is_none());
    }
}
