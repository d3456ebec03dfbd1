//! Whether the page gets the tracker script.

use std::sync::Arc;

use httparse::Header;

use crate::{
    client::{ResolvedClient, Visible},
    config::DecisionRules,
    facts::RequestFacts,
    tracker::inject::{AnsweredPage, Asking, Injection, Injector, PageRequest},
};

/// A request whose page may get the script.
pub(super) struct Script {
    injector: Injector,
    request: Box<PageRequest>,
}

impl Script {
    /// `None` where no page gets the script, or not the response to this request.
    pub(super) fn of(
        rules: &DecisionRules,
        facts: &RequestFacts<'_>,
        resolved: &ResolvedClient,
        visible: &Visible<'_>,
    ) -> Option<Script> {
        let injector = Injector::new(Arc::new(Injection::new(rules.inject.clone()?)));
        let request = injector.request(&Asking {
            rules: &rules.page,
            facts,
            domain: rules.event.sites.find(visible.host),
            client: resolved.client,
            visible,
        })?;
        Some(Script { injector, request })
    }

    /// Whether a field is not passed to the app.
    pub(super) fn replaces(&self, name: &str) -> bool {
        self.request.replaces(name)
    }

    /// What becomes of a page with this head, in words.
    pub(super) fn tell(&self, rules: &DecisionRules, status: u16, fields: &[Header<'_>]) -> String {
        let injected = self.injector.response(
            &self.request,
            &AnsweredPage {
                rules: &rules.page,
                status,
                fields,
                to_head: false,
                has_body: true,
            },
        );
        match (injected.rewriter, injected.refused) {
            (Some(_), _) => {
                "gets the tracker script, unless it has it or a policy in it forbids that".to_owned()
            }
            (None, Some(why)) => format!("goes on without the tracker script: {why}"),
            (None, None) => "goes on as it is, without the tracker script".to_owned(),
        }
    }
}
