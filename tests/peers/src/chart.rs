//! The results as bars: a request with a good token, in multiples of the signature alone.

use crate::{
    results::{Group, Results},
    world::Case,
};
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const NAMES: f64 = 270.0;
const BARS: f64 = 470.0;
const LINE: f64 = 22.0;
const HEADING: f64 = 44.0;

/// Follows the reader's colour scheme; without a background of its own.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#24292f}.h{font-weight:600;font-size:15px}.v{fill:#57606a}\
.bar{fill:#8c959f}.ours{fill:#1f6feb}.name-ours{font-weight:600}.floor{stroke:#57606a;stroke-dasharray:3 3}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.v{fill:#9da7b3}.bar{fill:#6e7681}.ours{fill:#58a6ff}\
.floor{stroke:#9da7b3}}";

struct Bar {
    name: String,
    ratio: f64,
    ours: bool,
}

pub fn svg(results: &Results) -> String {
    let groups: Vec<_> = results.groups.iter().map(|group| (group, bars(group))).collect();
    let longest = groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.ratio).fold(1.0, f64::max);
    let mut body = String::new();
    let mut y = 0.0;
    for (group, bars) in &groups {
        y += HEADING;
        let (algorithm, floor) = (group.algorithm, group.floor(Case::New).unwrap_or(f64::NAN) / 1000.0);
        let _ = writeln!(
            body,
            r#"<text class="h" x="0" y="{:.0}">{algorithm}: one request, × the signature alone ({floor:.1} µs)</text>"#,
            y - 14.0
        );
        let top = y;
        for bar in bars {
            draw(&mut body, bar, y, longest);
            y += LINE;
        }
        let x = NAMES + BARS / longest;
        let _ = writeln!(body, r#"<line class="floor" x1="{x:.1}" x2="{x:.1}" y1="{top:.0}" y2="{y:.0}"/>"#);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {:.0}\" role=\"img\">\n\
         <title>Verifying a bearer token: a request in multiples of its signature check</title>\n\
         <style>{STYLE}</style>\n{body}</svg>\n",
        y + 8.0
    )
}

/// One for each row that has numbers; two for one that knows a token again.
fn bars(group: &Group) -> Vec<Bar> {
    let mut bars = Vec::new();
    for row in &group.rows {
        let mut bar = |case, label: &str| {
            if let (Some(numbers), Some(floor)) = (row.case(case), group.floor(case)) {
                let ratio = numbers.nanoseconds / floor;
                bars.push(Bar { name: format!("{}{label}", row.name), ratio, ours: row.ours });
            }
        };
        let time = |case| row.case(case).map(|numbers| numbers.nanoseconds);
        let remembers = time(Case::Again).zip(time(Case::New)).is_some_and(|(again, new)| again < new / 2.0);
        if remembers {
            bar(Case::New, ", new token");
            bar(Case::Again, ", token seen before");
        } else {
            bar(Case::New, "");
        }
    }
    bars.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
    bars
}

fn draw(body: &mut String, bar: &Bar, y: f64, longest: f64) {
    let length = (BARS * bar.ratio / longest).max(1.0);
    let (class, name_class) = if bar.ours { ("ours", " class=\"name-ours\"") } else { ("bar", "") };
    let baseline = y + LINE - 7.0;
    let _ = writeln!(
        body,
        r#"<text{name_class} text-anchor="end" x="{:.0}" y="{baseline:.0}">{}</text><rect class="{class}" x="{NAMES:.0}" y="{:.0}" width="{length:.1}" height="{:.0}" rx="2"/><text class="v" x="{:.1}" y="{baseline:.0}">{:.2}</text>"#,
        NAMES - 8.0,
        bar.name,
        y + 3.0,
        LINE - 6.0,
        NAMES + length + 6.0,
        bar.ratio,
    );
}
