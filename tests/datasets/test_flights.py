"""Every feature against a computation by hand from its definition, and against changes of what comes later."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pandas as pd
import pytest

from ontime.common.layout import TARGET, Layout
from ontime.datasets import flights
from ontime.datasets.schema import TableSchema

Tables = dict[str, pd.DataFrame]
Row = dict[Any, Any]

SAMPLE_MONTHS = (1, 3, 4, 7, 11, 12)
SAMPLE_ROWS = 2000
DAY = 24 * 60
OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
OBSERVED = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
PREVIOUS = [
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
FEDERAL_HOLIDAYS = holidays.country_holidays("US", years=[2012, 2013, 2014])


@pytest.fixture(scope="module")
def layout(flight_options: flights.Options, schemas: dict[str, TableSchema]) -> Layout:
    return flights.layout(flight_options, schemas)


@pytest.fixture(scope="module")
def timed(raw_tables: Tables) -> pd.DataFrame:
    """All flights with the minutes of their events."""
    return with_event_times(raw_tables["flights"], raw_tables["airports"])


@pytest.fixture(scope="module")
def by_month(raw_tables: Tables, flight_options: flights.Options) -> dict[int, pd.DataFrame]:
    """Features of the sampled months, each computed from itself and the month before."""
    return {month: features_of_month(raw_tables, month, flight_options) for month in SAMPLE_MONTHS}


def features_of_month(tables: Tables, month: int, options: flights.Options) -> pd.DataFrame:
    all_flights, weather = tables["flights"], tables["weather"]
    return flights.compute_features(
        all_flights[all_flights["month"] == month],
        all_flights[all_flights["month"] == month - 1],
        weather[weather["month"].isin([month - 1, month])],
        tables["planes"],
        tables["airports"],
        options,
    )


def epoch_minutes(times: "pd.Series[Any]") -> Any:
    return times.dt.tz_convert("UTC").dt.as_unit("s").astype("int64") // 60


def clock_minutes(clock: Any) -> Any:
    """Minutes after midnight of HHMM."""
    return clock // 100 * 60 + clock % 100


def with_event_times(frame: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """Add the epoch minutes of schedule, departure and arrival, from the local clocks and named time zones.

    An arrival is missing when the flight did not arrive or its airport has no known time zone.
    """
    frame = frame.reset_index(drop=True)
    local = pd.to_datetime(frame[["year", "month", "day", "hour", "minute"]])
    sched = epoch_minutes(local.dt.tz_localize("America/New_York"))
    departure = sched + frame["dep_delay"]
    arrival = pd.Series(np.nan, index=frame.index)
    zones = frame["dest"].map(airports.set_index("faa")["tzone"])
    for zone, rows in frame[frame["arr_delay"].notna()].groupby(zones):
        left = pd.to_datetime(departure[rows.index] * 60, unit="s", utc=True).dt.tz_convert(zone).dt.tz_localize(None)
        landed = left.dt.normalize() + pd.to_timedelta(clock_minutes(rows["arr_time"]), unit="min")
        landed = landed.where(landed >= left, landed + pd.Timedelta(days=1))
        first = np.ones(len(rows), dtype=bool)
        zoned = landed.dt.tz_localize(zone, ambiguous=first, nonexistent=pd.Timedelta(hours=1))
        arrival[rows.index] = epoch_minutes(zoned)
    day = pd.to_datetime(frame[["year", "month", "day"]])
    return frame.assign(date=day, sched=sched, departure=departure, arrival=arrival)


def slice_by_date(timed: pd.DataFrame, day: pd.Timestamp, before: int, after: int) -> pd.DataFrame:
    """Flights of the local days from `before` days earlier to `after` days later."""
    return timed[timed["date"].between(day - timedelta(days=before), day + timedelta(days=after))]


def mean(values: Any) -> float:
    return float(values.sum() / len(values)) if len(values) else np.nan


def latest(near: Row, candidates: Any, *order: str) -> int | None:
    """Row of the candidate that is last by the named columns, then by the key."""
    rows = np.flatnonzero(candidates).tolist()
    names = (*order, "time_hour", "carrier", "flight")
    return max(rows, key=lambda row: tuple(near[name][row] for name in names)) if rows else None


def expect(flight: Row, near: Row, weather: Row, plane: Row, options: flights.Options) -> Row:
    """All features of one flight, from the flights of the days around it and its airport's weather."""
    cutoff = flight["sched"] - options.cutoff_minutes
    same = {name: near[name] == flight[name] for name in ("origin", "dest", "carrier", "tailnum", "flight")}
    return {
        **expect_schedule(flight, near, same),
        "aircraft_age_years": flight["year"] - plane.get("year", np.nan),
        "aircraft_seats": plane.get("seats", np.nan),
        "manufacturer": plane.get("manufacturer"),
        "engine": plane.get("engine"),
        **expect_weather(weather, cutoff),
        **expect_trailing(near, same, cutoff, options.late_minutes),
        **expect_overdue(flight, near, same, cutoff),
        **expect_previous(flight, near, same, cutoff),
        **{name: flight[name] for name in ("carrier", "origin", "dest")},
    }


def expect_schedule(flight: Row, near: Row, same: Row) -> Row:
    today = flight["date"]
    dep, arr = flight["hour"] * 60 + flight["minute"], clock_minutes(flight["sched_arr_time"])
    same_day = near["date"] == today.to_datetime64()
    same_hour = same_day & (near["hour"] == flight["hour"])

    def days_to_holiday(step: int) -> int:
        return next((n for n in range(14) if today + timedelta(days=n * step) in FEDERAL_HOLIDAYS), 14)

    return {
        "sched_dep_minute": dep,
        "sched_arr_minute": arr,
        "sched_block_minutes": (arr - dep) % DAY,
        "distance_miles": flight["distance"],
        "day_of_week": today.weekday(),
        "days_since_holiday": days_to_holiday(-1),
        "days_to_holiday": days_to_holiday(1),
        "scheduled_origin_hour": np.sum(same_hour & same["origin"]),
        "scheduled_origin_carrier_hour": np.sum(same_hour & same["origin"] & same["carrier"]),
        "scheduled_origin_day": np.sum(same_day & same["origin"]),
        "scheduled_dest_day": np.sum(same_day & same["dest"]),
        "scheduled_carrier_day": np.sum(same_day & same["carrier"]),
    }


def expect_weather(weather: Row, cutoff: int) -> Row:
    """The last hour that ended by the cutoff and at most six hours before it; wind above 200 mph is an error."""
    names = [*OBSERVED, "pressure_change_3h", "precip_6h"]
    ended = weather["started"] + 60
    usable = np.flatnonzero((ended <= cutoff) & (ended >= cutoff - 360))
    if not len(usable):
        return dict.fromkeys(names, np.nan)
    row = max(usable, key=lambda row: ended[row])
    found = {name: weather[name][row] for name in OBSERVED}
    if found["wind_speed"] > 200:
        found["wind_speed"] = np.nan
    three_hours_before = weather["pressure"][ended == ended[row] - 180]
    change = round(found["pressure"] - three_hours_before[0], 1) if len(three_hours_before) else np.nan
    rain = weather["precip"][(ended > ended[row] - 360) & (ended <= ended[row])]
    return {**found, "pressure_change_3h": change, "precip_6h": round(np.nansum(rain), 2)}


def expect_trailing(near: Row, same: Row, cutoff: int, late_minutes: int) -> Row:
    """Of what departed or arrived in the minutes before the cutoff: the share late, and the mean delay."""
    found = {}
    for minutes in (120, DAY):
        for event, delay, late in (("departure", "dep_delay", 15), ("arrival", "arr_delay", late_minutes)):
            recent = (near[event] < cutoff) & (near[event] >= cutoff - minutes)
            for group in ("origin", "carrier", "dest"):
                delays = near[delay][recent & same[group]]
                found[f"{group}_late_{event}s_{minutes}m"] = mean(delays >= late)
                found[f"{group}_{event}_delay_{minutes}m"] = mean(delays)
    return found


def expect_overdue(flight: Row, near: Row, same: Row, cutoff: int) -> Row:
    """Flights due in the six hours before the cutoff that had not left by then, and their minutes of waiting."""
    due = (near["sched"] < cutoff) & (near["sched"] >= cutoff - 360)
    waiting = due & ~(near["departure"] < cutoff)
    groups = {name: same[name] for name in ("origin", "carrier", "dest")}
    groups |= {"origin_carrier": same["origin"] & same["carrier"], "aircraft": same["tailnum"]}
    found = {}
    for name, members in groups.items():
        known = name != "aircraft" or isinstance(flight["tailnum"], str)
        found[f"{name}_overdue"] = np.sum(waiting & members) if known else np.nan
        found[f"{name}_overdue_minutes"] = np.sum(cutoff - near["sched"][waiting & members]) if known else np.nan
    return found


def expect_previous(flight: Row, near: Row, same: Row, cutoff: int) -> Row:
    """The aircraft's last departure and last leg, and the last departure and arrival of the same flight number."""
    sched = flight["sched"]
    left = (near["departure"] < cutoff) & (near["departure"] >= cutoff - 2 * DAY)
    came = (near["arrival"] < cutoff) & (near["arrival"] >= cutoff - 2 * DAY)
    same_number = same["carrier"] & same["flight"] & same["origin"]
    found = dict.fromkeys(PREVIOUS, np.nan)

    last = latest(near, left & same["tailnum"], "departure", "sched")
    if last is not None:
        found["previous_departure_delay"] = near["dep_delay"][last]
        found["previous_departure_minutes_ago"] = sched - near["departure"][last]
        found["previous_departure_distance_miles"] = near["distance"][last]
        found["previous_departure_same_origin"] = near["origin"][last] == flight["origin"]

    scheduled = (near["sched"] < sched) & (near["sched"] >= sched - 2 * DAY)
    leg = latest(near, scheduled & same["tailnum"], "sched", "flight")
    if leg is not None:
        departed = near["departure"][leg] < cutoff
        waited = cutoff - near["sched"][leg]
        found["previous_leg_gap_minutes"] = sched - near["sched"][leg]
        found["previous_leg_distance_miles"] = near["distance"][leg]
        found["previous_leg_departed"] = departed
        found["previous_leg_delay"] = near["dep_delay"][leg] if departed else waited if 0 < waited <= 360 else np.nan

    last = latest(near, left & same_number, "departure", "sched")
    if last is not None:
        found["same_flight_departure_delay"] = near["dep_delay"][last]
        found["same_flight_minutes_ago"] = sched - near["departure"][last]
    last = latest(near, came & same_number, "arrival", "sched")
    if last is not None:
        found["same_flight_arrival_delay"] = near["arr_delay"][last]
    return found


def columns_that_differ(actual: pd.DataFrame, wanted: pd.DataFrame, layout: Layout) -> dict[str, list[Any]]:
    """Feature columns with unequal values, and the keys of up to three such rows; missing equals missing."""
    differing = {}
    for name in layout.features:
        left, right = actual[name].reset_index(drop=True), wanted[name].reset_index(drop=True)
        if name in layout.numbers:
            left, right = left.astype(np.float32), right.astype(np.float32)
        unequal = ~((left == right) | (left.isna() & right.isna()))
        if unequal.any():
            differing[name] = actual[layout.key][unequal.to_numpy()].head(3).to_numpy().tolist()
    return differing


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(flights.KEY, ignore_index=True)


def test_every_feature_of_2000_flights_equals_its_definition_computed_by_hand(
    raw_tables: Tables,
    timed: pd.DataFrame,
    by_month: dict[int, pd.DataFrame],
    flight_options: flights.Options,
    layout: Layout,
) -> None:
    in_months = timed[timed["month"].isin(SAMPLE_MONTHS)]
    first_days = in_months[in_months["day"] <= 2].sample(SAMPLE_ROWS // 2, random_state=1)
    sample = pd.concat([first_days, in_months[in_months["day"] > 2].sample(SAMPLE_ROWS // 2, random_state=2)])
    planes = raw_tables["planes"].set_index("tailnum").to_dict("index")
    observations = raw_tables["weather"].assign(started=epoch_minutes(raw_tables["weather"]["time_hour"]))
    weather = {
        origin: {name: rows[name].to_numpy() for name in ("started", *OBSERVED)}
        for origin, rows in observations.groupby("origin")
    }

    expected = []
    for day in sorted(set(sample["date"])):
        near = {name: values.to_numpy() for name, values in slice_by_date(timed, day, before=4, after=1).items()}
        for flight in sample[sample["date"] == day].to_dict("records"):
            found = expect(flight, near, weather[flight["origin"]], planes.get(flight["tailnum"], {}), flight_options)
            expected.append({**{name: flight[name] for name in layout.key}, **found})
    wanted = in_order(pd.DataFrame(expected))

    actual = pd.concat(by_month.values()).merge(wanted[layout.key], on=layout.key)
    assert len(actual) == SAMPLE_ROWS
    assert set(wanted.columns) == {*layout.key, *layout.features}
    assert columns_that_differ(in_order(actual), wanted, layout) == {}


def local_clock(minute: float, zone: str) -> float:
    time = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
    return time.hour * 100.0 + time.minute


def shift_clock(clock: float, minutes: float) -> float:
    """HHMM so many minutes later."""
    hours, rest = divmod((clock_minutes(clock) + minutes) % DAY, 60)
    return float(hours * 100 + rest)


def alter_later(near: pd.DataFrame, airports: pd.DataFrame, cutoff: int, random: Any) -> pd.DataFrame:
    """Other outcomes wherever the event is at or after the cutoff, or missing; they stay at or after it."""
    zones = near["dest"].map(airports.set_index("faa")["tzone"]).to_list()
    rows = near.to_dict("records")
    for row, zone in zip(rows, zones, strict=True):
        delay = float(random.integers(-60, 600))
        zone_known = isinstance(zone, str)
        if not row["departure"] < cutoff:
            if row["departure"] >= cutoff and random.random() < 0.3:
                row.update(dict.fromkeys(OUTCOMES, np.nan))
                continue
            departure = max(cutoff, row["sched"] - 20) + int(random.choice([0, 1, 45, 300]))
            row["dep_delay"] = float(departure - row["sched"])
            row["dep_time"] = local_clock(departure, "America/New_York") or 2400.0
            row["arr_time"] = float(random.integers(0, 24) * 100 + random.integers(0, 60))
            row["arr_delay"], row["air_time"] = delay, float(random.integers(20, 600))
        elif not zone_known:
            row["arr_delay"] = delay
        elif row["arrival"] >= cutoff:
            back_to_cutoff = cutoff - row["arrival"]
            row["arr_time"] = shift_clock(row["arr_time"], random.choice([back_to_cutoff, 1, 90]))
            row["arr_delay"] = delay if random.random() < 0.7 else np.nan
            row["air_time"] = float(random.integers(20, 600))
        elif np.isnan(row["arrival"]) and row["departure"] + 600 > cutoff:
            row["arr_time"] = local_clock(cutoff + int(random.choice([0, 30])), zone)
            row["arr_delay"] = delay
    return pd.DataFrame(rows, columns=near.columns).astype(near.dtypes.to_dict())


def alter_later_weather(weather: pd.DataFrame, cutoff: int, random: Any) -> pd.DataFrame:
    """Other observations for the hours that end after the cutoff."""
    later = epoch_minutes(weather["time_hour"]) + 60 > cutoff
    values = weather[OBSERVED].where(~later, random.uniform(0, 100, (len(weather), len(OBSERVED))))
    return weather.assign(**{name: values[name] for name in OBSERVED})


class Moment:
    """The flights scheduled in one minute, so with one cutoff, and the flights and the weather of the days before."""

    def __init__(self, tables: Tables, timed: pd.DataFrame, sched: int, options: flights.Options) -> None:
        self.tables, self.options = tables, options
        self.cutoff = sched - options.cutoff_minutes
        own = timed[timed["sched"] == sched]
        self.near = slice_by_date(timed, own["date"].iloc[0], before=2, after=0)
        self.own = (self.near["sched"] == sched).to_numpy()
        self.key = own[flights.KEY]
        started = epoch_minutes(tables["weather"]["time_hour"])
        self.weather = tables["weather"][(started - sched).abs() < 3 * DAY]

    def features(self, near: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
        """These flights' features, were these the flights and the weather around them."""
        planes, airports = self.tables["planes"], self.tables["airports"]
        rows = near[self.tables["flights"].columns]
        frame = flights.compute_features(rows, rows[:0], weather, planes, airports, self.options)
        return frame.merge(self.key, on=flights.KEY)


@pytest.fixture(scope="module")
def moments(raw_tables: Tables, timed: pd.DataFrame, flight_options: flights.Options) -> list[Moment]:
    """Ten minutes over the year with at least three flights each, five of them with a cancelled one."""
    afternoon = timed[(timed["hour"] >= 12) & (timed["date"] < "2013-12-30")]
    counts = afternoon.groupby("sched")["departure"].agg(["size", "count"]).query("size >= 3")
    cancelled = counts["count"] < counts["size"]
    chosen = [*counts[~cancelled].sample(5, random_state=3).index, *counts[cancelled].sample(5, random_state=4).index]
    return [Moment(raw_tables, timed, sched, flight_options) for sched in chosen]


def test_nothing_at_or_after_the_cutoff_changes_a_feature(
    raw_tables: Tables, moments: list[Moment], layout: Layout
) -> None:
    assert sum(moment.own.sum() for moment in moments) >= 30
    random = np.random.default_rng(5)
    for moment in moments:
        near, cutoff = moment.near, moment.cutoff
        altered = with_event_times(alter_later(near, raw_tables["airports"], cutoff, random), raw_tables["airports"])
        for event in ("departure", "arrival"):
            before, after = near[event].to_numpy(), altered[event].to_numpy()
            assert np.array_equal(before[before < cutoff], after[after < cutoff])
            assert np.sum(before >= cutoff) > 50
        assert (altered["dep_delay"].to_numpy() != near["dep_delay"].to_numpy())[moment.own].all()
        weather = alter_later_weather(moment.weather, cutoff, random)
        unaltered = moment.features(near, moment.weather)
        assert columns_that_differ(moment.features(altered, weather), unaltered, layout) == {}


def test_what_is_known_at_the_cutoff_changes_features(moments: list[Moment], layout: Layout) -> None:
    for moment in moments[::3]:
        near, weather, cutoff = moment.near, moment.weather, moment.cutoff
        departed, arrived = near["departure"] < cutoff, near["arrival"] < cutoff
        ended = epoch_minutes(weather["time_hour"]) + 60 <= cutoff
        grounded = near.assign(**{name: near[name].mask(departed) for name in OUTCOMES})
        later = near.assign(arr_delay=near["arr_delay"] + 5 * arrived)
        warmer = weather.assign(temp=weather["temp"] + 5 * ended)
        unaltered = moment.features(near, weather)
        by_departures, by_arrivals, by_weather = (
            set(columns_that_differ(moment.features(*changed), unaltered, layout))
            for changed in ((grounded, weather), (later, weather), (near, warmer))
        )
        assert {"origin_departure_delay_120m", "origin_overdue", "origin_overdue_minutes"} <= by_departures
        assert "origin_arrival_delay_1440m" in by_arrivals
        assert by_weather == {"temp"}


def leg(hour: int, day: int = 2, delay: float | None = 0, duration: int = 60, **changes: Any) -> Row:
    """A flight of one aircraft from JFK to Boston in January, with the package's columns; `delay` None: cancelled."""
    late = delay if delay is not None else np.nan
    dep, arr = hour * 60 + late, hour * 60 + late + duration
    row = {
        "year": 2013,
        "month": 1,
        "day": day,
        "dep_time": (dep // 60 * 100 + dep % 60),
        "sched_dep_time": hour * 100,
        "dep_delay": late,
        "arr_time": (arr % DAY // 60 * 100 + arr % 60),
        "sched_arr_time": (hour + 1) % 24 * 100,
        "arr_delay": late,
        "carrier": "B6",
        "flight": 100 + hour,
        "tailnum": "N1",
        "origin": "JFK",
        "dest": "BOS",
        "air_time": duration - 20.0,
        "distance": 187,
        "hour": hour,
        "minute": 0,
        "time_hour": pd.Timestamp(2013, 1, day, hour, tz="America/New_York").tz_convert("UTC"),
    }
    return {**row, **changes}


def last_row(tables: Tables, options: flights.Options, rows: list[Row], previous: int = 0) -> Row:
    """Features of the last of some flights; the first `previous` of them belong to the month before."""
    frame = pd.DataFrame(rows).assign(time_hour=lambda f: f["time_hour"].dt.as_unit("us"))
    found = flights.compute_features(
        frame[previous:], frame[:previous], tables["weather"], tables["planes"], tables["airports"], options
    )
    last: Row = found.to_dict("records")[-1]
    return last


def test_a_departure_is_known_one_minute_after_it_happens(raw_tables: Tables, flight_options: flights.Options) -> None:
    at_cutoff = last_row(raw_tables, flight_options, [leg(10, delay=120), leg(14)])
    assert np.isnan(at_cutoff["previous_departure_delay"])
    assert (at_cutoff["aircraft_overdue"], at_cutoff["aircraft_overdue_minutes"]) == (1, 120)
    before = last_row(raw_tables, flight_options, [leg(10, delay=119), leg(14)])
    assert before["previous_departure_delay"] == 119
    assert (before["aircraft_overdue"], before["aircraft_overdue_minutes"]) == (0, 0)


def test_a_flight_that_does_not_leave_is_overdue_for_six_hours(
    raw_tables: Tables, flight_options: flights.Options
) -> None:
    overdue = {
        hour: last_row(raw_tables, flight_options, [leg(hour, delay=None), leg(20)])["aircraft_overdue"]
        for hour in (11, 12, 17, 18)
    }
    assert overdue == {11: 0, 12: 1, 17: 1, 18: 0}


def test_an_arrival_within_the_look_back_counts_although_its_departure_lies_before(
    raw_tables: Tables, flight_options: flights.Options
) -> None:
    before = leg(11, day=1, duration=300, delay=30, flight=7)
    found = last_row(raw_tables, flight_options, [before, leg(14, day=3, flight=7)], previous=1)
    assert found["same_flight_arrival_delay"] == 30
    assert np.isnan(found["same_flight_departure_delay"])


def test_of_two_events_in_one_minute_the_one_scheduled_later_counts(
    raw_tables: Tables, flight_options: flights.Options
) -> None:
    together = [leg(8, delay=120), leg(9, delay=60), leg(14)]
    for rows in (together, [together[1], together[0], together[2]]):
        assert last_row(raw_tables, flight_options, rows)["previous_departure_delay"] == 60


def test_of_two_legs_scheduled_in_one_minute_the_larger_flight_number_counts(
    raw_tables: Tables, flight_options: flights.Options
) -> None:
    together = [leg(8, delay=7, carrier="UA", flight=5), leg(8, delay=9, carrier="AA", flight=6), leg(14)]
    assert last_row(raw_tables, flight_options, together)["previous_leg_delay"] == 9


@pytest.mark.parametrize(("scheduled_hour", "delay"), [(6, 360), (5, None)])
def test_a_leg_that_waits_for_more_than_six_hours_has_no_known_delay(
    raw_tables: Tables, flight_options: flights.Options, scheduled_hour: int, delay: int | None
) -> None:
    found = last_row(raw_tables, flight_options, [leg(scheduled_hour, delay=None), leg(14)])
    assert found["previous_leg_departed"] == 0
    assert found["previous_leg_delay"] == delay or (delay is None and np.isnan(found["previous_leg_delay"]))


def test_an_unknown_tail_number_is_not_an_aircraft(raw_tables: Tables, flight_options: flights.Options) -> None:
    found = last_row(raw_tables, flight_options, [leg(8, tailnum=None), leg(14, tailnum=None)])
    aircraft = [name for name in found if name.startswith(("aircraft_", "previous_"))]
    assert len(aircraft) == 12
    assert all(np.isnan(found[name]) for name in aircraft)


def test_wind_above_200_mph_is_missing_not_a_value(raw_tables: Tables, flight_options: flights.Options) -> None:
    for speed, known in ((200.0, True), (1048.0, False)):
        weather = raw_tables["weather"].assign(wind_speed=speed)
        found = last_row({**raw_tables, "weather": weather}, flight_options, [leg(14)])
        assert (found["wind_speed"] == speed) == known
        assert not np.isnan(found["temp"])


def test_months_computed_one_at_a_time_equal_the_whole(
    tmp_path: Path,
    raw_tables: Tables,
    write_raw: Callable[[Path, Tables], Path],
    flight_options: flights.Options,
    layout: Layout,
) -> None:
    spring = {name: raw_tables[name][raw_tables[name]["month"].isin([5, 6, 7])] for name in ("flights", "weather")}
    tables = {**raw_tables, **spring}
    raw = write_raw(tmp_path, tables)
    whole = flights.compute_features(
        tables["flights"],
        tables["flights"][:0],
        tables["weather"],
        tables["planes"],
        tables["airports"],
        flight_options,
    )[layout.columns]
    parts = [flights.features(raw, month, flight_options, layout) for month in ("2013-06", "2013-07")]
    expected = whole[len(whole) - sum(map(len, parts)) :].reset_index(drop=True)
    actual = pd.concat(parts, ignore_index=True)
    assert columns_that_differ(actual, expected, layout) == {}
    pd.testing.assert_frame_equal(actual, expected)


def test_the_order_of_raw_rows_does_not_matter(
    raw_tables: Tables, flight_options: flights.Options, by_month: dict[int, pd.DataFrame]
) -> None:
    shuffled = {name: frame.sample(frac=1, random_state=6) for name, frame in raw_tables.items()}
    pd.testing.assert_frame_equal(features_of_month(shuffled, 3, flight_options), by_month[3])


@pytest.mark.parametrize("late_minutes", [15, 30])
def test_late_means_an_arrival_delay_of_at_least_late_minutes(
    raw_tables: Tables, flight_options: flights.Options, late_minutes: int
) -> None:
    january = raw_tables["flights"][raw_tables["flights"]["month"] == 1]
    options = flight_options.model_copy(update={"late_minutes": late_minutes})
    found = features_of_month(raw_tables, 1, options).set_index(flights.KEY)[TARGET]
    delay = january.set_index(flights.KEY)["arr_delay"]
    assert found[delay.index[delay >= late_minutes]].eq(1).all()
    assert found[delay.index[delay < late_minutes]].eq(0).all()
    assert found[delay.index[delay.isna()]].isna().all()


def test_cancelled_flights_get_features(raw_tables: Tables, by_month: dict[int, pd.DataFrame], layout: Layout) -> None:
    january = raw_tables["flights"][raw_tables["flights"]["month"] == 1]
    cancelled = january[january["dep_time"].isna()]
    found = by_month[1].merge(cancelled[layout.key], on=layout.key)
    assert len(found) == len(cancelled) > 0
    always = ["sched_dep_minute", "scheduled_origin_day", "origin_overdue", "origin_overdue_minutes", "day_of_week"]
    assert found[always].notna().all(axis=None)
    assert found[["temp", "origin_departure_delay_1440m"]].notna().any(axis=None)


def test_the_layout_names_the_columns_and_the_key_is_unique(by_month: dict[int, pd.DataFrame], layout: Layout) -> None:
    january = by_month[1]
    assert sorted(january.columns) == sorted(layout.columns)
    assert len(set(layout.features)) == len(layout.features)
    assert not january.duplicated(layout.key).any()
    assert january[layout.key].equals(in_order(january)[layout.key])
    assert (january[layout.numbers].dtypes == np.float32).all()


@pytest.mark.parametrize("month", [3, 11])
def test_a_label_is_the_features_target_and_known_when_the_flight_has_arrived(
    tmp_path: Path,
    raw_tables: Tables,
    timed: pd.DataFrame,
    by_month: dict[int, pd.DataFrame],
    write_raw: Callable[[Path, Tables], Path],
    flight_options: flights.Options,
    layout: Layout,
    month: int,
) -> None:
    raw = write_raw(tmp_path, {name: raw_tables[name] for name in ("flights", "airports")})
    found = flights.labels(raw, f"2013-{month:02d}", flight_options, layout)
    assert list(found.columns) == [*layout.key, TARGET, "known_at"]
    rows = by_month[month]
    pd.testing.assert_frame_equal(found[layout.key], rows[layout.key])
    assert found[TARGET].tolist() == rows[TARGET].tolist()
    expected = found[layout.key].merge(timed[[*layout.key, "arrival", "arr_delay"]], on=layout.key, how="left")
    minutes = (found["known_at"] - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(minutes=1)
    np.testing.assert_array_equal(minutes, expected["arrival"])
    cancelled = expected["arr_delay"].isna()
    assert cancelled.any()
    assert found.loc[cancelled, [TARGET, "known_at"]].isna().all(axis=None)
