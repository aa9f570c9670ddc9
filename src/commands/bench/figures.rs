//! What was measured: figures, medians, and the table and the JSON that show them.

use std::time::Duration;

use serde::Serialize;

use crate::cli::BenchPart;

/// Which way a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Better {
    /// A time, a cost.
    Less,
    /// A rate.
    More,
    /// A fact: it is compared with nothing.
    Same,
}

/// A figure: of each engine, and of the floor, as far as that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) part: BenchPart,
    /// Its name, which does not change.
    pub(super) name: String,
    /// The same for people.
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) managed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stock: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<f64>,
    /// How many times as fast as on the untuned server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) times_stock: Option<f64>,
    /// How many times as fast as the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) times_floor: Option<f64>,
}

/// The values of one figure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values {
    pub(super) managed: Option<f64>,
    pub(super) stock: Option<f64>,
    pub(super) floor: Option<f64>,
}

/// All figures of a run, in the order in which they are shown.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) all: Vec<Figure>,
}

impl Figures {
    /// Adds a figure, unless nothing was measured of it.
    pub(super) fn add(
        &mut self,
        part: BenchPart,
        (name, unit, better): (impl Into<String>, &'static str, Better),
        what: impl Into<String>,
        values: Values,
    ) {
        let Values {
            managed,
            stock,
            floor,
        } = values;
        if managed.or(stock).or(floor).is_none() {
            return;
        }
        let times = |other: Option<f64>| {
            let (ours, other) = (managed?, other?);
            match better {
                Better::Less if ours > 0.0 => Some(other / ours),
                Better::More if other > 0.0 => Some(ours / other),
                _ => None,
            }
        };
        self.all.push(Figure {
            part,
            name: name.into(),
            what: what.into(),
            unit,
            better,
            managed,
            stock,
            floor,
            times_stock: times(stock),
            times_floor: times(floor),
        });
    }

    /// The figures as a table in Markdown, which is readable as it is.
    pub(super) fn table(&self) -> String {
        let has = |value: fn(&Figure) -> Option<f64>| self.all.iter().any(|f| value(f).is_some());
        type Cell = fn(&Figure) -> String;
        let mut columns: Vec<(&str, Cell)> = vec![
            ("part", |figure| figure.part.letter().to_owned()),
            ("what", |figure| figure.what.clone()),
        ];
        if has(|figure| figure.managed) {
            columns.push(("managed", |figure| shown(figure.managed, figure.unit)));
        }
        if has(|figure| figure.stock) {
            columns.push(("stock", |figure| shown(figure.stock, figure.unit)));
        }
        if has(|figure| figure.floor) {
            columns.push(("floor", |figure| shown(figure.floor, figure.unit)));
        }
        if has(|figure| figure.times_stock) {
            columns.push(("times stock", |figure| ratio(figure.times_stock)));
        }
        if has(|figure| figure.times_floor) {
            columns.push(("times floor", |figure| ratio(figure.times_floor)));
        }
        let mut rows = vec![
            columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
            columns.iter().map(|_| "---".to_owned()).collect(),
        ];
        let cells = |figure| columns.iter().map(|(_, cell)| cell(figure)).collect();
        rows.extend(self.all.iter().map(cells));
        let width = |column: usize| {
            let cells = rows.iter().map(|row: &Vec<String>| &row[column]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            format!("| {} |", cells.join(" | "))
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn shown(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(String::new, |value| {
        let places = match value.abs() {
            0.0 => 0,
            size if size >= 100.0 => 0,
            size if size >= 10.0 => 1,
            _ => 2,
        };
        format!("{value:.places$} {unit}").trim_end().to_owned()
    })
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.2}"))
}

/// Values of which the middle and the tail are told.
#[derive(Debug, Default, Clone)]
pub(super) struct Sample {
    values: Vec<f64>,
}

impl Sample {
    pub(super) fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    pub(super) fn add_ms(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1000.0);
    }

    pub(super) fn median(&self) -> Option<f64> {
        self.percentile(0.5)
    }

    /// The value that this share of them does not exceed.
    pub(super) fn percentile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample {
            values: values.to_vec(),
        }
    }

    #[test]
    fn the_middle_and_the_tail_are_of_the_sorted_values() {
        let one_to_twenty: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        let sample_of_twenty = sample(&one_to_twenty);
        assert_eq!(sample_of_twenty.median(), Some(10.0));
        assert_eq!(sample_of_twenty.percentile(0.95), Some(19.0));
        assert_eq!(sample(&[7.0]).percentile(0.95), Some(7.0));
        assert_eq!(sample(&[]).median(), None);
    }

    #[test]
    fn a_ratio_above_one_is_always_the_better_for_us() {
        let values = Values {
            managed: Some(50.0),
            stock: Some(200.0),
            floor: Some(10.0),
        };
        let mut figures = Figures::default();
        for better in [Better::Less, Better::More, Better::Same] {
            figures.add(BenchPart::B, ("x", "ms", better), "x", values);
        }
        let ratios: Vec<_> = figures
            .all
            .iter()
            .map(|figure| (figure.times_stock, figure.times_floor))
            .collect();
        assert_eq!(
            ratios,
            [
                (Some(4.0), Some(0.2)),
                (Some(0.25), Some(5.0)),
                (None, None)
            ]
        );
        figures.add(
            BenchPart::B,
            ("y", "", Better::Less),
            "y",
            Values::default(),
        );
        assert_eq!(figures.all.len(), 3, "nothing measured is no figure");
    }

    #[test]
    fn only_columns_with_something_in_them_are_shown() {
        let mut figures = Figures::default();
        let values = Values {
            managed: Some(1234.5),
            ..Values::default()
        };
        figures.add(BenchPart::A, ("x", "ms", Better::Less), "a time", values);
        let table = figures.table();
        assert!(table.contains("| a    | a time | 1234 ms |"), "{table}");
        assert!(
            !table.contains("stock") && !table.contains("floor"),
            "{table}"
        );
    }
}
