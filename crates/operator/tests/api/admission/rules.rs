//! Every rule of every kind, accepted and refused by the real thing. The list is the table of the rules itself, and a
//! rule without a file of cases does not compile.

use std::collections::BTreeMap;

use dynamo_render::{
    testing::{Case, CasePolicy, cases},
    validate::{Enforced, Level, Rule},
};
use dynamo_testkit::{Plane, shared, webhooks::UNREVIEWED_USER};
use kube::Client;
use serde_json::{Value, json};

use super::{
    asked::{Answer, Asked},
    make_namespace, reviewer,
};

/// Where the objects of the cases are.
const NAMESPACE: &str = "demo";

struct Judged {
    rule: Rule,
    /// Whether the case breaks the rule.
    breaks: bool,
    case: Case,
}

#[tokio::test]
async fn every_rule_accepts_and_refuses_its_cases_through_a_real_api_server_and_webhook() {
    let Some(shared) = shared::folder("the rules about other projects' APIs, as users meet them") else {
        return;
    };
    let plane = Plane::start();
    let client = plane.client().await;
    make_namespace(&client, NAMESPACE).await;
    let mut groups: BTreeMap<Installation, Vec<Judged>> = BTreeMap::new();
    for rule in Rule::ALL {
        let all = cases(*rule);
        for (breaks, cases) in [(false, all.accept), (true, all.reject)] {
            for case in cases {
                let judged = Judged { rule: *rule, breaks, case };
                groups.entry(Installation::of(&judged.case.policy)).or_default().push(judged);
            }
        }
    }
    let (mut asked, mut failures) = (0, Vec::new());
    let mut installed = Installation::default();
    for (installation, cases) in groups {
        // Groups come in an order in which an API, once installed, is not asked to be away.
        if installation.with_apis && !installed.with_apis {
            for api in ["gaie", "grove"] {
                plane.install(&shared.join("crds").join(api));
            }
        }
        installed = installation.clone();
        let flags = installation.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let reviewer = reviewer(&plane, &client, "rules", &[NAMESPACE], &flags).await;
        for judged in cases {
            asked += 1;
            if let Err(what) = judged.ask(&client).await {
                let Judged { rule, case, .. } = &judged;
                failures.push(format!("{rule}: {}: {what}", case.name));
            }
        }
        reviewer.end(&client).await;
    }
    assert!(failures.is_empty(), "{} of {asked} cases:\n{}", failures.len(), failures.join("\n"));
    println!("{} rules, {asked} cases", Rule::ALL.len());
}

/// The operators and clusters that the cases need.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Installation {
    with_apis: bool,
    restricted: bool,
    trusted: Vec<String>,
}

impl Installation {
    fn of(policy: &CasePolicy) -> Self {
        let with_apis = policy.inference_pools == Some(true);
        Self { with_apis, restricted: policy.restricted, trusted: policy.trusted.clone() }
    }

    fn flags(&self) -> Vec<String> {
        let trusted = self.trusted.iter().map(|user| {
            let account = user.strip_prefix("system:serviceaccount:").unwrap().replace(':', "/");
            format!("--trusted-service-account={account}")
        });
        let restricted = self.restricted.then(|| format!("--restrictedNamespace={NAMESPACE}"));
        trusted.chain(restricted).collect()
    }
}

impl Judged {
    async fn ask(&self, client: &Client) -> Result<(), String> {
        let Self { case, .. } = self;
        let demo = Asked::new(client, NAMESPACE);
        let Some(old) = &case.old else {
            return self.compare(&demo.dry().by(case.user.as_deref()).create(&case.object).await);
        };
        // An older release may have admitted what this one refuses.
        let unreviewed = demo.by(Some(UNREVIEWED_USER));
        let mut made = unreviewed.create(old).await;
        if made.is_accepted() && old.get("status").is_some() {
            made = unreviewed.merge(old, Some("status"), &json!({"status": old["status"]})).await;
        }
        if !made.is_accepted() {
            return Err(format!("the old object was refused: {}", made.message()));
        }
        let mut next = case.object.clone();
        for field in ["uid", "resourceVersion"] {
            next["metadata"][field] = made.body["metadata"][field].clone();
        }
        let answer = demo.dry().by(case.user.as_deref()).replace(&next, None).await;
        let gone = unreviewed.delete(old).await;
        if !gone.is_accepted() {
            return Err(format!("the old object was not deleted: {}", gone.message()));
        }
        self.compare(&answer)
    }

    fn compare(&self, answer: &Answer) -> Result<(), String> {
        let Self { rule, breaks, case } = self;
        let spec = rule.spec();
        let warned = answer.warnings.join("\n");
        if !contains_all(&warned, &case.warning) {
            return Err(format!("no warning with {:?} in {warned:?}", case.warning));
        }
        if !breaks || spec.level == Level::Warning {
            if !answer.is_accepted() {
                return Err(format!("refused with {}: {}", answer.code, answer.message()));
            }
            let is_told = *breaks == contains_words(&warned, spec.words);
            let fits = spec.level != Level::Warning || is_told;
            return fits.then_some(()).ok_or_else(|| format!("warnings: {warned:?}"));
        }
        let by_schema = spec.enforced == Enforced::Schema || !case.server.is_empty();
        let (code, prefix, parts) = match (by_schema, case.server.is_empty()) {
            (true, true) => (422, "", &case.message),
            (true, false) => (422, "", &case.server),
            (false, _) => (403, "denied the request: validation failed: ", &case.message),
        };
        // What is no JSON of its field is refused before the schema looks.
        if answer.code != code && !(by_schema && answer.code == 400) {
            return Err(format!("answered {}: {}", answer.code, answer.message()));
        }
        if !answer.message().contains(prefix) || !contains_all(answer.message(), parts) {
            return Err(format!("{prefix:?} and {parts:?} are not all in: {}", answer.message()));
        }
        Ok(())
    }
}

fn contains_all(text: &str, parts: &[String]) -> bool {
    parts.iter().all(|part| text.contains(part.as_str()))
}

/// Whether the words of a rule stand in `text`, in their order.
fn contains_words(text: &str, words: &str) -> bool {
    let mut rest = Some(text);
    for part in words.split('…') {
        rest = rest.and_then(|rest| Some(rest.split_once(part)?.1));
    }
    rest.is_some()
}

#[test]
fn the_cases_stand_in_one_namespace() {
    for rule in Rule::ALL {
        let all = cases(*rule);
        for case in all.accept.iter().chain(&all.reject) {
            for object in [Some(&case.object), case.old.as_ref()].into_iter().flatten() {
                assert_eq!(object["metadata"]["namespace"], Value::from(NAMESPACE), "{rule}: {}", case.name);
            }
        }
    }
}
