//! The objects of Stripe's payloads.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A payment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// To be paid.
    pub amount: i64,
    /// Paid so far.
    pub amount_received: i64,
    /// ISO 4217 in lower case: `eur`.
    pub currency: String,
    /// `succeeded`, `requires_action`, `canceled`, …
    pub status: String,
    /// The id, or the customer where it is expanded; `None` without one.
    pub customer: Option<Value>,
    /// Text of the merchant.
    pub description: Option<String>,
    /// Where the receipt goes.
    pub receipt_email: Option<String>,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// An attempt to move money.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Charge {
    /// `ch_…`.
    pub id: String,
    /// Of the charge.
    pub amount: i64,
    /// Given back so far.
    pub amount_refunded: i64,
    /// ISO 4217 in lower case: `eur`.
    pub currency: String,
    /// `succeeded`, `pending` or `failed`.
    pub status: String,
    /// Whether the charge succeeded.
    pub paid: bool,
    /// Whether all was given back.
    pub refunded: bool,
    /// The id, or the customer where it is expanded; `None` without one.
    pub customer: Option<Value>,
    /// The id, or the payment where it is expanded.
    pub payment_intent: Option<Value>,
    /// Why the charge failed.
    pub failure_code: Option<String>,
    /// Why the charge failed, for people.
    pub failure_message: Option<String>,
    /// The page of the receipt.
    pub receipt_url: Option<String>,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// A customer disputes a charge.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Dispute {
    /// `du_…` or `dp_…`.
    pub id: String,
    /// Disputed.
    pub amount: i64,
    /// ISO 4217 in lower case: `eur`.
    pub currency: String,
    /// The id, or the charge where it is expanded.
    pub charge: Option<Value>,
    /// `fraudulent`, `product_not_received`, …
    pub reason: String,
    /// `needs_response`, `won`, `lost`, …
    pub status: String,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// Money that is given back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// Given back.
    pub amount: i64,
    /// ISO 4217 in lower case: `eur`.
    pub currency: String,
    /// The id, or the charge where it is expanded.
    pub charge: Option<Value>,
    /// The id, or the payment where it is expanded.
    pub payment_intent: Option<Value>,
    /// `duplicate`, `fraudulent`, `requested_by_customer`.
    pub reason: Option<String>,
    /// `pending`, `succeeded`, `failed`, …
    pub status: Option<String>,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// A visit to the checkout.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: String,
    /// `payment`, `subscription` or `setup`.
    pub mode: String,
    /// `open`, `complete` or `expired`.
    pub status: Option<String>,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: String,
    /// After discounts and taxes.
    pub amount_total: Option<i64>,
    /// ISO 4217 in lower case: `eur`.
    pub currency: Option<String>,
    /// The id, or the customer where it is expanded; `None` without one.
    pub customer: Option<Value>,
    /// What the customer entered.
    pub customer_details: CustomerDetails,
    /// The id that the merchant passed.
    pub client_reference_id: Option<String>,
    /// The id, or the payment where it is expanded.
    pub payment_intent: Option<Value>,
    /// The id, or the subscription where it is expanded.
    pub subscription: Option<Value>,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// What a customer entered at the checkout.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CustomerDetails {
    /// Of the customer.
    pub email: Option<String>,
    /// Of the customer.
    pub name: Option<String>,
    /// Of the customer.
    pub phone: Option<String>,
}

/// A customer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// Of the customer.
    pub email: Option<String>,
    /// Of the customer.
    pub name: Option<String>,
    /// Text of the merchant.
    pub description: Option<String>,
    /// Credit if negative.
    pub balance: i64,
    /// Whether the latest invoice is overdue.
    pub delinquent: Option<bool>,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// A subscription.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// The id, or the customer where it is expanded; `None` without one.
    pub customer: Option<Value>,
    /// `active`, `past_due`, `canceled`, `trialing`, …
    pub status: String,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// Seconds since 1970.
    pub canceled_at: Option<i64>,
    /// Seconds since 1970.
    pub ended_at: Option<i64>,
    /// Seconds since 1970.
    pub trial_end: Option<i64>,
    /// The list of what is subscribed to.
    pub items: Value,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// An invoice.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Invoice {
    /// `in_…`; `None` for a preview.
    pub id: Option<String>,
    /// On the invoice.
    pub number: Option<String>,
    /// `draft`, `open`, `paid`, `void` or `uncollectible`.
    pub status: Option<String>,
    /// To be paid.
    pub amount_due: i64,
    /// Paid so far.
    pub amount_paid: i64,
    /// Not paid yet.
    pub amount_remaining: i64,
    /// After discounts and taxes.
    pub total: i64,
    /// ISO 4217 in lower case: `eur`.
    pub currency: String,
    /// The id, or the customer where it is expanded; `None` without one.
    pub customer: Option<Value>,
    /// Of the customer.
    pub customer_email: Option<String>,
    /// Of the customer.
    pub customer_name: Option<String>,
    /// `subscription_cycle`, `manual`, …
    pub billing_reason: Option<String>,
    /// How often Stripe tried to collect the payment.
    pub attempt_count: u64,
    /// Seconds since 1970.
    pub next_payment_attempt: Option<i64>,
    /// The page of the invoice.
    pub hosted_invoice_url: Option<String>,
    /// The file of the invoice.
    pub invoice_pdf: Option<String>,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}

/// Money that Stripe pays to the merchant.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Payout {
    /// `po_…`.
    pub id: String,
    /// Paid out.
    pub amount: i64,
    /// ISO 4217 in lower case: `eur`.
    pub currency: String,
    /// `paid`, `pending`, `in_transit`, `canceled` or `failed`.
    pub status: String,
    /// Seconds since 1970.
    pub arrival_date: i64,
    /// Why the payout failed.
    pub failure_message: Option<String>,
    /// Pairs of the merchant.
    pub metadata: BTreeMap<String, String>,
}
