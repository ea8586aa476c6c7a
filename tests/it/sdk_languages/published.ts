// What GitHub and Stripe publish as types fits the types of the SDK: a field that theirs leave out, or have as null, is optional.

import type { components } from "@octokit/openapi-webhooks-types";
import type * as github from "landfall-sdk/github";
import type * as stripe from "landfall-sdk/stripe";
import type { Stripe } from "stripe";

type Fits<Ours, Theirs extends Ours> = Theirs;
type Hooks = components["schemas"];

export type Published = [
  Fits<github.Push, Hooks["webhook-push"]>,
  Fits<github.RefEvent, Hooks["webhook-create"]>,
  Fits<github.RefEvent, Hooks["webhook-delete"]>,
  Fits<github.PullRequestEvent, Hooks["webhook-pull-request-opened"]>,
  Fits<github.PullRequestEvent, Hooks["webhook-pull-request-closed"]>,
  Fits<github.PullRequestEvent, Hooks["webhook-pull-request-labeled"]>,
  Fits<github.ReviewEvent, Hooks["webhook-pull-request-review-submitted"]>,
  Fits<github.ReviewCommentEvent, Hooks["webhook-pull-request-review-comment-created"]>,
  Fits<github.IssuesEvent, Hooks["webhook-issues-opened"]>,
  Fits<github.IssuesEvent, Hooks["webhook-issues-labeled"]>,
  Fits<github.IssueCommentEvent, Hooks["webhook-issue-comment-created"]>,
  Fits<github.DiscussionEvent, Hooks["webhook-discussion-created"]>,
  Fits<github.ReleaseEvent, Hooks["webhook-release-published"]>,
  Fits<github.WorkflowRunEvent, Hooks["webhook-workflow-run-completed"]>,
  Fits<github.WorkflowJobEvent, Hooks["webhook-workflow-job-completed"]>,
  Fits<github.CheckRunEvent, Hooks["webhook-check-run-completed"]>,
  Fits<github.CheckSuiteEvent, Hooks["webhook-check-suite-completed"]>,
  Fits<github.StatusEvent, Hooks["webhook-status"]>,
  Fits<github.DeploymentEvent, Hooks["webhook-deployment-created"]>,
  Fits<github.DeploymentStatusEvent, Hooks["webhook-deployment-status-created"]>,
  Fits<github.StarEvent, Hooks["webhook-star-created"]>,
  Fits<github.ForkEvent, Hooks["webhook-fork"]>,
  Fits<github.RepositoryEvent, Hooks["webhook-repository-created"]>,
  // The account can be an enterprise, which has no login.
  Fits<Omit<github.InstallationEvent, "installation">, Hooks["webhook-installation-created"]>,
  Fits<github.Ping, Hooks["webhook-ping"]>,
  Fits<Omit<stripe.Event, "data">, Omit<Stripe.Event, "data">>,
  Fits<stripe.Object, Stripe.PaymentIntent>,
  Fits<stripe.Object, Stripe.Charge>,
  Fits<stripe.Object, Stripe.Dispute>,
  Fits<stripe.Object, Stripe.Refund>,
  Fits<stripe.Object, Stripe.Checkout.Session>,
  Fits<stripe.Object, Stripe.Customer>,
  Fits<stripe.Object, Stripe.Subscription>,
  Fits<stripe.Object, Stripe.Invoice>,
  Fits<stripe.Object, Stripe.Payout>,
];
