//! Filters on dates.

use chrono::DateTime;

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::python::date;
use crate::template::val::{Args, Val};

pub(super) const FILTERS: &[Filter] = &[row("to_datetime", to_datetime), row("strftime", strftime)];

fn to_datetime(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    date::strptime(
        &eval.text(input)?,
        &args.text(0, "format", "%Y-%m-%d %H:%M:%S")?,
    )
}

fn strftime(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let format = eval.text(input)?;
    let now = eval.world.now();
    let utc = args.flag(eval, 1, "utc")?;
    let seconds = match args.get(0, "second") {
        Some(Val::Null) | None => now.timestamp(),
        Some(value) => {
            let text = eval.text(value)?;
            let seconds: f64 = text
                .parse()
                .map_err(|_| Problem::other(format!("Invalid value for epoch value ({text})")))?;
            #[expect(clippy::cast_possible_truncation, reason = "fractions do not show")]
            let whole = seconds.floor() as i64;
            whole
        }
    };
    let moment = DateTime::from_timestamp(seconds, 0)
        .ok_or_else(|| Problem::other("timestamp out of range"))?;
    if utc {
        return date::strftime(moment.naive_utc(), None, &format).map(Val::str);
    }
    // The controller's offset now; a change of daylight saving time between is not looked up.
    let offset = *now.offset();
    date::strftime(
        moment.with_timezone(&offset).naive_local(),
        Some(offset),
        &format,
    )
    .map(Val::str)
}
