//! `[[maintenance]]`: what is read, and what is refused with its line and a hint.

use watchbell::config::Env;
use watchbell::core::mute::window::Plan;

use crate::config::Folder;
use crate::config::messages::bad;

#[test]
fn windows_are_read_once_recurring_and_from_a_calendar() {
    let calendar = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Move\r\nDTSTART:20300101T010000Z\r\n\
        DTEND:20300101T020000Z\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:2\r\nSUMMARY:Patch\r\n\
        DTSTART;TZID=Europe/Paris:20300106T023000\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let text = "[[maintenance]]\nname = \"once\"\nstarts_at = 2030-01-01T01:00:00Z\n\
        ends_at = \"2030-01-01T03:00\"\nzone = \"Europe/Berlin\"\nci = \"sw1\"\ndownstream = true\n\
        [[maintenance]]\nname = \"weekly\"\nreason = \"x\"\nrrule = \"FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30\"\n\
        duration = \"1h\"\nzone = \"Europe/Paris\"\nclass = [\"database\"]\nmatchers = [\"team=net\", \"a!=b\"]\n\
        [[maintenance]]\nname = \"file\"\ncalendar = \"m.ics\"\nsite = \"paris\"\n";
    let folder = Folder::with(&[("w.toml", text), ("m.ics", calendar)]);
    let settings = folder.load_with(Env::fixed([])).expect("good");
    let [once, weekly, moved, patched] = settings.maintenance.as_slice() else {
        panic!("{:?}", settings.maintenance);
    };
    let Plan::Once(times) = once.plan else {
        panic!("{once:?}");
    };
    assert_eq!(
        times.ends_at.since(times.starts_at).as_millis(),
        3_600_000,
        "Berlin's clocks"
    );
    assert_eq!(
        once.reason, "once",
        "the name says why when nothing else does"
    );
    assert!(once.scope.is_downstream);
    assert_eq!(weekly.matchers.len(), 2);
    assert_eq!((&*moved.name, &*moved.reason), ("file/1", "Move"));
    assert!(matches!(patched.plan, Plan::Recurring(_)));
    assert_eq!(patched.scope.site, ["paris"]);
}

#[test]
fn windows_that_make_no_sense_are_refused_with_line_and_hint() {
    bad(
        "[[maintenance]]\nname = \"a\"\nreason = \"x\"\nci = \"sw1\"\nstarts_at = \"2030-01-01T02:00\"\n\
         ends_at = \"2030-01-01T01:00\"\n\
         [[maintenance]]\nname = \"b\"\nreason = \"x\"\nci = \"sw1\"\nduration = \"1h\"\n\
         rrule = \"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\"\n\
         [[maintenance]]\nname = \"c\"\nreason = \"x\"\nci = \"sw1\"\nduration = \"1h\"\nrrule = \"FREQ=DAILY\"\n\
         zone = \"Europe/Nowhere\"\n\
         [[maintenance]]\nstarts_at = \"2030-01-01\"\nduration = \"1h\"\nci = \"sw1\"\n\
         [[maintenance]]\nname = \"c\"\nstarts_at = \"2030-01-01\"\nduration = \"1h\"\nci = \"sw1\"\n",
        r#"
w.toml:6:11: maintenance[0].ends_at: the window ends before it starts
    hint: the end must lie after the begin
w.toml:12:9: maintenance[1].rrule: the recurrence rule "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30" never occurs
    hint: no date fits it: look at BYMONTH, BYMONTHDAY, COUNT and UNTIL
w.toml:19:8: maintenance[2].zone: there is no time zone "Europe/Nowhere"
    hint: write a name of the zone database, like Europe/Paris or America/New_York
w.toml:20:1: maintenance[3]: a maintenance window needs a reason
    hint: say why people must not be told, like reason = "switch firmware"
w.toml:25:8: maintenance[4].name: the name "c" is used at w.toml:13 already
    hint: every maintenance window needs a name of its own
"#,
    );
}
