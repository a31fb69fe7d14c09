/** A scripted model: what it says and calls, one step for each request, and how it ends. */
export interface Story {
  readonly name: string;
  readonly steps: readonly StoryStep[];
  /** Said when the steps are over. A function can quote what came back. */
  readonly closing: string | ((transcript: readonly TranscriptMessage[]) => string);
}

export interface StoryStep {
  readonly say?: string;
  readonly calls: readonly { readonly tool: string; readonly arguments: Record<string, unknown> }[];
}

/** A message as the scripted model received it. */
export interface TranscriptMessage {
  readonly role: string;
  readonly text: string;
  /** Calls of an assistant message. */
  readonly calls: readonly { readonly id: string; readonly tool: string; readonly arguments: string }[];
  /** Which call a tool message answers. */
  readonly callId?: string;
}
