//! Passes a page's body through the [`Rewriter`] that gives it the tracker script: for both protocols, and so
//! that a fault of the rewriting costs no page.

use super::{app::exchange::Exchange, context::Context, errors::Fault, plan::Plan};
use crate::{
    headers::HeadChange,
    http1::{Body, ResponseHead},
    tracker::inject::{AnsweredPage, DamagedBody, Rewriter, Scriptless},
};

/// A response on its way through the rewriter.
#[derive(Default)]
pub(super) struct Rewriting {
    /// What its head and trailers become.
    pub(super) change: HeadChange,
    /// `None` where the body goes on as it comes.
    rewriter: Option<Box<Rewriter>>,
}

impl Rewriting {
    /// What becomes of a response with this head.
    #[inline]
    pub(super) fn begin(context: &Context, plan: &Plan, head: &ResponseHead<'_, '_>) -> Self {
        match &plan.page {
            Some(_) => Rewriting::of_page(context, plan, head),
            None => Rewriting::default(),
        }
    }

    fn of_page(context: &Context, plan: &Plan, head: &ResponseHead<'_, '_>) -> Self {
        let (Some(injector), Some(page)) = (&context.injector, &plan.page) else {
            return Rewriting::default();
        };
        let injected = context.unharmed(|| {
            let answering = AnsweredPage {
                rules: &context.live.borrow().page,
                status: head.status,
                fields: head.fields,
                to_head: plan.to_head,
                has_body: head.body != Body::Done || (plan.to_head && head.content_length != Some(0)),
            };
            injector.response(page, &answering)
        });
        let injected = injected.unwrap_or_default();
        if let Some(why) = &injected.refused {
            warn(context, why);
        }
        Rewriting {
            change: injected.change,
            rewriter: injected.rewriter,
        }
    }

    /// Whether the body is rewritten.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.rewriter.is_some()
    }

    /// Passes on what the app sent of the body at once. What can go on is appended to `out`: all of it, if
    /// the body has ended.
    ///
    /// # Errors
    /// [`Fault::ResponseBody`], and [`Fault::DamagedPage`]. What came before it is in `out`.
    pub(super) fn pass(
        &mut self,
        context: &Context,
        exchange: &mut Exchange,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut passed = Ok(());
        // Read to their end in any case: the body's framing goes on.
        while let Some(piece) = exchange.next_data(&mut bytes)? {
            if !self.is_on() {
                out.extend_from_slice(piece);
            } else if passed.is_ok() {
                passed = self.work(context, out, |rewriter, out| rewriter.push(piece, out));
            }
        }
        passed?;
        if exchange.is_over() {
            self.finish(context, out)
        } else {
            self.work(context, out, Rewriter::flush)
        }
    }

    /// The body has ended: appends what is left of it to `out`.
    ///
    /// # Errors
    /// [`Fault::DamagedPage`]
    pub(super) fn finish(&mut self, context: &Context, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.work(context, out, Rewriter::finish)?;
        self.rewriter = None;
        Ok(())
    }

    fn work(
        &mut self,
        context: &Context,
        out: &mut Vec<u8>,
        work: impl FnOnce(&mut Rewriter, &mut Vec<u8>) -> Result<(), DamagedBody>,
    ) -> Result<(), Fault> {
        let Some(rewriter) = &mut self.rewriter else {
            return Ok(());
        };
        let start = out.len();
        let done = context.unharmed(|| work(rewriter, out));
        let done = done.unwrap_or_else(|| {
            out.truncate(start);
            rewriter.give_up(out)
        });
        if rewriter.is_through() {
            if let Some(missing) = rewriter.blocked() {
                warn(context, &Scriptless::Policy(missing.clone()));
            }
            self.rewriter = None;
        }
        Ok(done?)
    }
}

#[cold]
fn warn(context: &Context, why: &Scriptless) {
    context.throttles.scriptless(why);
}
