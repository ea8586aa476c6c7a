// Written from the Rust SDK: `LANDFALL_UPDATE_DOCS=1 cargo test --test it sdk_languages::payloads`.

/** Stripe. Source: docs.stripe.com/api/events/object. Amounts are in the smallest unit of the currency. */

/** The object of an event, by its field `object`. Stripe has more kinds than these. */
export type Object =
  | ({ object: "payment_intent" } & PaymentIntent)
  | ({ object: "charge" } & Charge)
  | ({ object: "dispute" } & Dispute)
  | ({ object: "refund" } & Refund)
  | ({ object: "checkout.session" } & CheckoutSession)
  | ({ object: "customer" } & Customer)
  | ({ object: "subscription" } & Subscription)
  | ({ object: "invoice" } & Invoice)
  | ({ object: "payout" } & Payout);

/** One event. */
export interface Event {
  /** `evt_…`. */
  id: string;
  /** `invoice.paid`, … */
  type: string;
  /** Seconds since 1970. */
  created: number;
  /** False: made in a sandbox. */
  livemode: boolean;
  /** The version of the objects in `data`. */
  api_version?: string | null;
  /** The connected account; `null` for your own. */
  account?: string | null;
  /** What the event is about. */
  data: About;
}

/** What an event is about. */
export interface About {
  /** An invoice, a charge, …, as it was when the event was made. */
  object: Object;
  /** The former values of changed fields, in events `….updated`. */
  previous_attributes?: Record<string, unknown> | null;
}

/** A payment. */
export interface PaymentIntent {
  /** `pi_…`. */
  id: string;
  /** To be paid. */
  amount: number;
  /** Paid so far. */
  amount_received: number;
  /** ISO 4217 in lower case: `eur`. */
  currency: string;
  /** `succeeded`, `requires_action`, `canceled`, … */
  status: string;
  /** The id, or the customer where it is expanded; `null` without one. */
  customer?: unknown;
  /** Text of the merchant. */
  description?: string | null;
  /** Where the receipt goes. */
  receipt_email?: string | null;
  /** Pairs of the merchant. */
  metadata: Record<string, string>;
}

/** An attempt to move money. */
export interface Charge {
  /** `ch_…`. */
  id: string;
  /** Of the charge. */
  amount: number;
  /** Given back so far. */
  amount_refunded: number;
  /** ISO 4217 in lower case: `eur`. */
  currency: string;
  /** `succeeded`, `pending` or `failed`. */
  status: string;
  /** Whether the charge succeeded. */
  paid: boolean;
  /** Whether all was given back. */
  refunded: boolean;
  /** The id, or the customer where it is expanded; `null` without one. */
  customer?: unknown;
  /** The id, or the payment where it is expanded. */
  payment_intent?: unknown;
  /** Why the charge failed. */
  failure_code?: string | null;
  /** Why the charge failed, for people. */
  failure_message?: string | null;
  /** The page of the receipt. */
  receipt_url?: string | null;
  /** Pairs of the merchant. */
  metadata: Record<string, string>;
}

/** A customer disputes a charge. */
export interface Dispute {
  /** `du_…` or `dp_…`. */
  id: string;
  /** Disputed. */
  amount: number;
  /** ISO 4217 in lower case: `eur`. */
  currency: string;
  /** The id, or the charge where it is expanded. */
  charge?: unknown;
  /** `fraudulent`, `product_not_received`, … */
  reason: string;
  /** `needs_response`, `won`, `lost`, … */
  status: string;
  /** Pairs of the merchant. */
  metadata: Record<string, string>;
}

/** Money that is given back. */
export interface Refund {
  /** `re_…`. */
  id: string;
  /** Given back. */
  amount: number;
  /** ISO 4217 in lower case: `eur`. */
  currency: string;
  /** The id, or the charge where it is expanded. */
  charge?: unknown;
  /** The id, or the payment where it is expanded. */
  payment_intent?: unknown;
  /** `duplicate`, `fraudulent`, `requested_by_customer`. */
  reason?: string | null;
  /** `pending`, `succeeded`, `failed`, … */
  status?: string | null;
  /** Pairs of the merchant. */
  metadata?: Record<string, string> | null;
}

/** A visit to the checkout. */
export interface CheckoutSession {
  /** `cs_…`. */
  id: string;
  /** `payment`, `subscription` or `setup`. */
  mode: string;
  /** `open`, `complete` or `expired`. */
  status?: string | null;
  /** `paid`, `unpaid` or `no_payment_required`. */
  payment_status: string;
  /** After discounts and taxes. */
  amount_total?: number | null;
  /** ISO 4217 in lower case: `eur`. */
  currency?: string | null;
  /** The id, or the customer where it is expanded; `null` without one. */
  customer?: unknown;
  /** What the customer entered. */
  customer_details?: CustomerDetails | null;
  /** The id that the merchant passed. */
  client_reference_id?: string | null;
  /** The id, or the payment where it is expanded. */
  payment_intent?: unknown;
  /** The id, or the subscription where it is expanded. */
  subscription?: unknown;
  /** Pairs of the merchant. */
  metadata?: Record<string, string> | null;
}

/** What a customer entered at the checkout. */
export interface CustomerDetails {
  /** Of the customer. */
  email?: string | null;
  /** Of the customer. */
  name?: string | null;
  /** Of the customer. */
  phone?: string | null;
}

/** A customer. */
export interface Customer {
  /** `cus_…`. */
  id: string;
  /** Of the customer. */
  email?: string | null;
  /** Of the customer. */
  name?: string | null;
  /** Text of the merchant. */
  description?: string | null;
  /** Credit if negative. */
  balance: number;
  /** Whether the latest invoice is overdue. */
  delinquent?: boolean | null;
  /** Pairs of the merchant. */
  metadata: Record<string, string>;
}

/** A subscription. */
export interface Subscription {
  /** `sub_…`. */
  id: string;
  /** The id, or the customer where it is expanded; `null` without one. */
  customer?: unknown;
  /** `active`, `past_due`, `canceled`, `trialing`, … */
  status: string;
  /** Whether it ends with the period. */
  cancel_at_period_end: boolean;
  /** Seconds since 1970. */
  canceled_at?: number | null;
  /** Seconds since 1970. */
  ended_at?: number | null;
  /** Seconds since 1970. */
  trial_end?: number | null;
  /** The list of what is subscribed to. */
  items?: unknown;
  /** Pairs of the merchant. */
  metadata: Record<string, string>;
}

/** An invoice. */
export interface Invoice {
  /** `in_…`; `null` for a preview. */
  id?: string | null;
  /** On the invoice. */
  number?: string | null;
  /** `draft`, `open`, `paid`, `void` or `uncollectible`. */
  status?: string | null;
  /** To be paid. */
  amount_due: number;
  /** Paid so far. */
  amount_paid: number;
  /** Not paid yet. */
  amount_remaining: number;
  /** After discounts and taxes. */
  total: number;
  /** ISO 4217 in lower case: `eur`. */
  currency: string;
  /** The id, or the customer where it is expanded; `null` without one. */
  customer?: unknown;
  /** Of the customer. */
  customer_email?: string | null;
  /** Of the customer. */
  customer_name?: string | null;
  /** `subscription_cycle`, `manual`, … */
  billing_reason?: string | null;
  /** How often Stripe tried to collect the payment. */
  attempt_count: number;
  /** Seconds since 1970. */
  next_payment_attempt?: number | null;
  /** The page of the invoice. */
  hosted_invoice_url?: string | null;
  /** The file of the invoice. */
  invoice_pdf?: string | null;
  /** Pairs of the merchant. */
  metadata?: Record<string, string> | null;
}

/** Money that Stripe pays to the merchant. */
export interface Payout {
  /** `po_…`. */
  id: string;
  /** Paid out. */
  amount: number;
  /** ISO 4217 in lower case: `eur`. */
  currency: string;
  /** `paid`, `pending`, `in_transit`, `canceled` or `failed`. */
  status: string;
  /** Seconds since 1970. */
  arrival_date: number;
  /** Why the payout failed. */
  failure_message?: string | null;
  /** Pairs of the merchant. */
  metadata?: Record<string, string> | null;
}
