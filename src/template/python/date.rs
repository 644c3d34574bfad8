//! Dates, times and differences of them.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{Datelike, FixedOffset, NaiveDateTime, TimeDelta, TimeZone as _, Timelike};

use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Moment, Val};

/// `str()` of a datetime.
pub(crate) fn text(moment: &Moment) -> String {
    iso(moment, ' ')
}

fn iso(moment: &Moment, separator: char) -> String {
    let naive = moment.naive;
    let mut out = format!(
        "{}{separator}{}",
        naive.format("%Y-%m-%d"),
        naive.format("%H:%M:%S")
    );
    let micros = naive.and_utc().timestamp_subsec_micros();
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
    }
    if let Some(offset) = moment.offset {
        let _ = write!(out, "{offset}");
    }
    out
}

/// `str()` of a timedelta.
pub(crate) fn delta_text(delta: TimeDelta) -> String {
    let (days, seconds, micros) = parts(delta);
    let mut out = String::new();
    if days != 0 {
        let plural = if days.abs() == 1 { "" } else { "s" };
        let _ = write!(out, "{days} day{plural}, ");
    }
    let _ = write!(
        out,
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
    }
    out
}

/// Days, seconds and microseconds, the last two never negative.
fn parts(delta: TimeDelta) -> (i64, i64, i64) {
    let micros = delta.num_microseconds().unwrap_or(i64::MAX);
    let days = micros.div_euclid(86_400_000_000);
    let rest = micros.rem_euclid(86_400_000_000);
    (days, rest / 1_000_000, rest % 1_000_000)
}

/// An attribute of a datetime.
pub(crate) fn field(moment: &Moment, name: &str) -> Option<Val> {
    let naive = moment.naive;
    Some(Val::Int(match name {
        "year" => i64::from(naive.year()),
        "month" => i64::from(naive.month()),
        "day" => i64::from(naive.day()),
        "hour" => i64::from(naive.hour()),
        "minute" => i64::from(naive.minute()),
        "second" => i64::from(naive.second()),
        "microsecond" => i64::from(naive.and_utc().timestamp_subsec_micros()),
        _ => return None,
    }))
}

/// An attribute of a timedelta.
pub(crate) fn delta_field(delta: TimeDelta, name: &str) -> Option<Val> {
    let (days, seconds, micros) = parts(delta);
    Some(Val::Int(match name {
        "days" => days,
        "seconds" => seconds,
        "microseconds" => micros,
        _ => return None,
    }))
}

/// `a - b` of dates.
pub(crate) fn subtract(a: &Val, b: &Val) -> Option<Val> {
    Some(match (a, b) {
        (Val::Date(a), Val::Date(b)) => Val::Delta(a.naive - b.naive),
        (Val::Date(a), Val::Delta(b)) => Val::Date(Moment {
            naive: a.naive.checked_sub_signed(*b)?,
            offset: a.offset,
        }),
        (Val::Delta(a), Val::Delta(b)) => Val::Delta(a.checked_sub(b)?),
        _ => return None,
    })
}

/// `a + b` of dates.
pub(crate) fn add(a: &Val, b: &Val) -> Option<Val> {
    Some(match (a, b) {
        (Val::Date(date), Val::Delta(delta)) | (Val::Delta(delta), Val::Date(date)) => {
            Val::Date(Moment {
                naive: date.naive.checked_add_signed(*delta)?,
                offset: date.offset,
            })
        }
        (Val::Delta(a), Val::Delta(b)) => Val::Delta(a.checked_add(b)?),
        _ => return None,
    })
}

/// A method of a datetime.
pub(crate) fn method(
    eval: &Eval<'_>,
    moment: &Moment,
    name: &Arc<str>,
    args: &Args,
) -> Result<Val> {
    Ok(match &**name {
        "strftime" => {
            let format = eval.string(args.list.first().unwrap_or(&Val::Null))?;
            Val::str(strftime(moment.naive, moment.offset, &format)?)
        }
        "isoformat" => Val::str(iso(moment, 'T')),
        "date" => Val::str(moment.naive.format("%Y-%m-%d").to_string()),
        "time" => Val::str(moment.naive.format("%H:%M:%S").to_string()),
        "weekday" => Val::Int(i64::from(moment.naive.weekday().num_days_from_monday())),
        #[expect(clippy::cast_precision_loss, reason = "seconds as Python gives them")]
        _ => {
            // A date without an offset is local time.
            let offset = moment.offset.unwrap_or_else(|| *eval.world.now().offset());
            let utc = moment.naive - TimeDelta::seconds(i64::from(offset.local_minus_utc()));
            Val::Float(utc.and_utc().timestamp_micros() as f64 / 1e6)
        }
    })
}

/// Formats by a strftime format.
pub(crate) fn strftime(
    naive: NaiveDateTime,
    offset: Option<FixedOffset>,
    format: &str,
) -> Result<String> {
    let utc = FixedOffset::east_opt(0).expect("invariant: zero is an offset");
    let zone = offset.unwrap_or(utc);
    let moment = zone
        .from_local_datetime(&naive)
        .single()
        .ok_or_else(|| Problem::other("the time does not exist"))?;
    let format = format.replace("%f", "%6f");
    let mut out = String::new();
    write!(out, "{}", moment.format(&format))
        .map_err(|_| Problem::other(format!("invalid time format `{format}`")))?;
    Ok(out)
}

/// Reads a date by a strptime format.
pub(crate) fn strptime(text: &str, format: &str) -> Result<Val> {
    let refuse = || {
        Problem::other(format!(
            "time data '{text}' does not match format '{format}'"
        ))
    };
    let chrono_format = format.replace(".%f", "%.f").replace("%f", "%6f");
    if format.contains("%z") {
        let moment =
            chrono::DateTime::parse_from_str(text, &chrono_format).map_err(|_| refuse())?;
        let offset = Some(*moment.offset());
        return Ok(Val::Date(Moment {
            naive: moment.naive_local(),
            offset,
        }));
    }
    let mut parsed = chrono::format::Parsed::new();
    chrono::format::parse(
        &mut parsed,
        text,
        chrono::format::StrftimeItems::new(&chrono_format),
    )
    .map_err(|_| refuse())?;
    // What the format leaves out is 1900-01-01 00:00:00, as in Python.
    let date = match parsed.to_naive_date() {
        Ok(date) => date,
        Err(_) => chrono::NaiveDate::from_ymd_opt(
            parsed.year().unwrap_or(1900),
            parsed.month().unwrap_or(1),
            parsed.day().unwrap_or(1),
        )
        .ok_or_else(refuse)?,
    };
    let time = if let Ok(time) = parsed.to_naive_time() {
        time
    } else {
        let hour = parsed.hour_div_12().unwrap_or(0) * 12 + parsed.hour_mod_12().unwrap_or(0);
        chrono::NaiveTime::from_hms_opt(hour, parsed.minute().unwrap_or(0), 0).ok_or_else(refuse)?
    };
    Ok(Val::Date(Moment {
        naive: date.and_time(time),
        offset: None,
    }))
}
