//! A real daemon, a ladder and a receiver: who is told when, over a kill, and answering by the link of a message.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::daemon::{Home, LISTEN};
use crate::support::process::eventually;
use crate::telling::hook::Hook;

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
