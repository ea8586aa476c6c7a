// Written from the Rust SDK: `LANDFALL_UPDATE_DOCS=1 cargo test --test it sdk_languages::payloads`.

/**
 * Slack: slash commands, events and interactions. Sources: docs.slack.dev/interactivity/implementing-slash-commands,
 * docs.slack.dev/apis/events-api, docs.slack.dev/interactivity/handling-user-interaction.
 */

/** What happened in a workspace, by the field `type`. Slack has more kinds than these. */
export type Event =
  | ({ type: "message" } & Message)
  | ({ type: "app_mention" } & Message)
  | ({ type: "reaction_added" } & Reaction)
  | ({ type: "reaction_removed" } & Reaction)
  | ({ type: "member_joined_channel" } & Membership)
  | ({ type: "member_left_channel" } & Membership)
  | ({ type: "app_home_opened" } & AppHome);

/** A slash command. */
export interface Command {
  /** With its slash: `/deploy`. */
  command: string;
  /** What was typed behind it. */
  text: string;
  /** `U…`, who typed it. */
  user_id: string;
  /** The name of the user, which may change. */
  user_name: string;
  /** `C…`, where. */
  channel_id: string;
  /** The name of the channel, which may change. */
  channel_name: string;
  /** `T…`, the workspace. */
  team_id: string;
  /** Where answers go within 30 minutes, at most five. */
  response_url: string;
  /** Opens a dialogue within 3 seconds. */
  trigger_id: string;
}

/** What the Events API sends. */
export interface Callback {
  /** `event_callback`, `app_rate_limited`. */
  type: string;
  /** `T…`, the workspace. */
  team_id: string;
  /** `A…`, the app. */
  api_app_id: string;
  /** `Ev…`, the same when it is sent again; `null` for `app_rate_limited`. */
  event_id?: string | null;
  /** Seconds since 1970; `null` for `app_rate_limited`. */
  event_time?: number | null;
  /** What happened, with its `type`; null for `app_rate_limited`. */
  event?: Event | null;
}

/** A message. */
export interface Message {
  /** `null` for a message that a person wrote; `bot_message`, `message_changed`, … */
  subtype?: string | null;
  /** `U…`, who wrote it. */
  user?: string | null;
  /** `B…`, if an app wrote it. Ignore your own to avoid loops. */
  bot_id?: string | null;
  /** The text, in the markup of Slack. */
  text?: string | null;
  /** `C…`, where. */
  channel: string;
  /** `channel`, `group`, `im` or `mpim`. */
  channel_type?: string | null;
  /** Identifies the message in its channel. */
  ts: string;
  /** The first message of the thread; `null` outside of threads. */
  thread_ts?: string | null;
}

/** A reaction to a message. */
export interface Reaction {
  /** `U…`, who reacted. */
  user: string;
  /** The name of the emoji, without colons. */
  reaction: string;
  /** `U…`, who wrote the message. */
  item_user?: string | null;
  /** The message. */
  item: ReactionItem;
}

/** What a reaction is about. */
export interface ReactionItem {
  /** `message`. */
  type: string;
  /** `C…`, where. */
  channel: string;
  /** Identifies the message in its channel. */
  ts: string;
}

/** A user and a channel. */
export interface Membership {
  /** `U…`, who. */
  user: string;
  /** `C…`, where. */
  channel: string;
  /** `U…`, who invited the user. */
  inviter?: string | null;
}

/** The home of the app. */
export interface AppHome {
  /** `U…`, who opened it. */
  user: string;
  /** `D…`, the conversation with the app. */
  channel: string;
  /** `home` or `messages`. */
  tab?: string | null;
}

/** A click, a shortcut or a dialogue that was sent. */
export interface Interaction {
  /** `block_actions`, `view_submission`, `shortcut`, `message_action`, … */
  type: string;
  /** Who did it. */
  user: User;
  /** Where; `null` outside of channels. */
  channel?: Channel | null;
  /** Of a shortcut. */
  callback_id?: string | null;
  /** Opens a dialogue within 3 seconds; `null` in a dialogue. */
  trigger_id?: string | null;
  /** Where answers go; `null` for dialogues. */
  response_url?: string | null;
  /** What was clicked. */
  actions: Action[];
  /** The message with the button; null without one. */
  message?: unknown;
  /** The dialogue, with what was typed; null without one. */
  view?: unknown;
}

/** What was clicked. */
export interface Action {
  /** `button`, `static_select`, … */
  type: string;
  /** Of the app. */
  action_id: string;
  /** Of the app. */
  block_id: string;
  /** Of a button. */
  value?: string | null;
  /** Of a menu. */
  selected_option?: SelectedOption | null;
}

/** An option of a menu. */
export interface SelectedOption {
  /** Of the app. */
  value: string;
}

/** A user of the workspace. */
export interface User {
  /** `U…`. */
  id: string;
  /** May change. */
  username?: string | null;
}

/** A channel. */
export interface Channel {
  /** `C…`. */
  id: string;
  /** May change. */
  name?: string | null;
}
