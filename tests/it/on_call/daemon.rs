//! A real daemon, a ladder and a receiver: who is told when, over a kill, and answering by the link of a message.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{Home, LISTEN};
use crate::support::process::eventually;
use crate::telling::hook::{Hook, Manner};

fn config(first: &Hook, second: &Hook) -> String {
    let target = |name: &str, hook: &Hook| {
        let url = hook.url();
        format!(
            "[[target]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\nallow_private = true\n"
        )
    };
    format!(
        "{LISTEN}[settle]\nP1 = \"0s\"\nP2 = \"0s\"\nP3 = \"0s\"\n\
         [[source]]\nname = \"am\"\nkind = \"alertmanager\"\n{}{}\
         [[person]]\nname = \"ana\"\n[[person.contact]]\ntarget = \"first\"\naddress = \"+49 1\"\n\
         [[schedule]]\nname = \"net\"\nmembers = [\"ana\"]\n\
         [[team]]\nname = \"network\"\nschedule = \"net\"\n\
         [[route]]\nteam = \"network\"\nescalation = \"ladder\"\n\
         [[escalation]]\nname = \"ladder\"\nsteps = [{{ after = \"0s\", notify = [\"schedule:net\"] }}, {{ after = \"4s\", notify = [\"second\"] }}]\n",
        target("first", first),
        target("second", second),
    )
}

async fn heard(hook: &Hook, count: usize) -> Vec<String> {
    eventually("what is told", async || {
        Some(hook.lines()).filter(|lines| lines.len() >= count)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn ladder_goes_on_over_a_kill_and_stops_at_an_answer_by_link() {
    let (first, second) = (Hook::start([]).await, Hook::start([]).await);
    let home = Home::new(&config(&first, &second));
    let mut daemon = home.start().await;
    daemon.alert("A", "firing").await;
    assert_eq!(heard(&first, 1).await, ["incident.opened INC-1 new"]);
    // A kill between the send and its mark may repeat the message, and says so; here it comes after the mark.
    eventually("the first step is marked as told", async || {
        let told = daemon.list("/api/v1/outbox?state=sent").await;
        (!told.is_empty()).then_some(())
    })
    .await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    assert_eq!(heard(&second, 1).await, ["incident.escalated INC-1 new"]);
    let told = first.heard();
    assert_eq!(told.len(), 1, "the first step is not told again");
    let link = told[0].headers["watchbell-answer-url"].clone();
    let path = link.split_once("/answer/").unwrap().1;
    let link = daemon.url(&format!("/answer/{path}"));
    let state = async || daemon.get("/api/v1/incidents/1").await.json()["state"].clone();
    let page = daemon.send(daemon.client.get(&link)).await.text;
    assert!(page.contains("INC-1") && page.contains("+49 1"), "{page}");
    assert_eq!(state().await, "new", "looking changes nothing");
    let answer = daemon.client.post(&link).body("do=acknowledge");
    assert_eq!(daemon.send(answer).await.status, 200);
    assert_eq!(state().await, "acknowledged");
    let runs = daemon.list("/api/v1/escalations").await;
    let [run] = runs.as_slice() else {
        panic!("one ladder: {runs:?}");
    };
    assert_eq!(run["state"], "stopped", "{run}");
    let care: Vec<Value> = daemon.list("/api/v1/escalations/audit").await;
    assert_eq!(care[0]["care"], "owner", "{care:?}");
    daemon.stop().await;
}

const ROTA: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n\
    BEGIN:VEVENT\r\nUID:1@x\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:On call: ana\r\n\
    DTSTART:20260101T000000Z\r\nDTEND:20400101T000000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn rota_is_read_from_an_address_and_outlives_its_server() {
    let headers = "content-type: text/calendar\r\n";
    let calendar = Hook::start([Manner::Say(200, headers, ROTA)]).await;
    let home = Home::new(&format!(
        "{LISTEN}[[person]]\nname = \"ana\"\n[[person]]\nname = \"ben\"\n\
         [[schedule]]\nname = \"net\"\nmembers = [\"ben\"]\n\
         ics = {{ url = \"{}\", every = \"1h\", allow_private = true }}\n",
        calendar.url()
    ));
    let on_call = async |daemon: &crate::support::daemon::Daemon| {
        eventually("ana is on call", async || {
            let items = daemon.list("/api/v1/on-call").await;
            items[0].to_string().contains("ana").then_some(())
        })
        .await;
    };
    let daemon = home.start().await;
    on_call(&daemon).await;
    daemon.stop().await;
    // From now on the server says nothing that is a calendar; the copy goes on counting.
    let daemon = home.start().await;
    on_call(&daemon).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_of_open_incidents_is_read_page_by_page() {
    let hooks = (Hook::start([]).await, Hook::start([]).await);
    let daemon = Home::new(&config(&hooks.0, &hooks.1));
    let daemon = daemon.start().await;
    for name in ["A", "B", "C", "D", "E"] {
        daemon.alert(name, "firing").await;
    }
    eventually("all are looked after", async || {
        let items = daemon.list("/api/v1/escalations/audit").await;
        (items.len() == 5).then_some(())
    })
    .await;
    for (sort, first) in [("id", "INC-1"), ("-id", "INC-5")] {
        let (mut seen, mut cursor) = (Vec::new(), json!(""));
        while let Some(after) = cursor.as_str() {
            let path = format!("/api/v1/escalations/audit?limit=2&sort={sort}&cursor={after}");
            let page = daemon.get(path.trim_end_matches("&cursor=")).await.ok();
            let items = page["items"].as_array().unwrap().clone();
            assert!(items.len() <= 2 && !items.is_empty(), "{page}");
            seen.extend(items.iter().map(|item| item["incident"].clone()));
            cursor = page["next_cursor"].clone();
        }
        assert_eq!((seen.len(), &seen[0]), (5, &json!(first)), "{seen:?}");
        seen.sort_by_key(Value::to_string);
        seen.dedup();
        assert_eq!(seen.len(), 5, "each once");
    }
    daemon.stop().await;
}
