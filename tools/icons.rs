//! Icons, each a small picture within its own address: no client has to fetch one from anywhere.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmcp::model::Icon;

/// Segue itself: two notes under one beam.
pub(crate) fn segue() -> Vec<Icon> {
    icon("<path d='M9 17V7l9-2v10'/><circle cx='7' cy='17' r='2'/><circle cx='16' cy='15' r='2'/>")
}

/// Work under way: an arrow that comes round.
pub(crate) fn sync() -> Vec<Icon> {
    icon("<path d='M18 12a6 6 0 1 1-2-4.5M18 4v4h-4'/>")
}

/// A report: the rows of a table.
pub(crate) fn report() -> Vec<Icon> {
    icon("<path d='M5 7h14M5 12h14M5 17h9'/>")
}

/// Health: a pulse.
pub(crate) fn health() -> Vec<Icon> {
    icon("<path d='M4 12h4l2-5 4 10 2-5h4'/>")
}

/// A move: from one place into another.
pub(crate) fn moving() -> Vec<Icon> {
    icon("<path d='M5 6v12M9 12h10M15 8l4 4-4 4'/>")
}

/// A question.
pub(crate) fn question() -> Vec<Icon> {
    icon("<path d='M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5'/>")
}

/// A choice between two.
pub(crate) fn choice() -> Vec<Icon> {
    icon("<path d='M5 7h5v10H5zM14 7h5v10h-5z'/>")
}

/// White lines on a tile that shows on dark and on light.
fn icon(lines: &str) -> Vec<Icon> {
    let picture = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'>\
         <rect width='24' height='24' rx='6' fill='#1f7a4d'/>\
         <g fill='none' stroke='#fff' stroke-width='2' stroke-linecap='round'>{lines}</g></svg>"
    );
    let source = format!("data:image/svg+xml;base64,{}", STANDARD.encode(picture));
    vec![
        Icon::new(source)
            .with_mime_type("image/svg+xml")
            .with_sizes(vec!["any".to_owned()]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_small_picture_that_fetches_nothing() {
        for icons in [
            segue(),
            sync(),
            report(),
            health(),
            moving(),
            question(),
            choice(),
        ] {
            let source = &icons[0].src;
            assert!(source.len() < 600, "{} characters", source.len());
            let data = source.strip_prefix("data:image/svg+xml;base64,");
            let picture = STANDARD.decode(data.expect("data")).expect("base64");
            let picture = String::from_utf8(picture).expect("text");
            assert_eq!(picture.matches("http").count(), 1, "its namespace alone");
            assert!(!picture.contains("href") && !picture.contains("script"));
            let open = picture.matches('<').count();
            assert_eq!(open, picture.matches('>').count(), "{picture}");
        }
    }
}
