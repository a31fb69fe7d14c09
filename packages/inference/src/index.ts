export * as limits from './limits.ts';
export { type InferenceOptions, InferencePlane, type RequestContext } from './plane.ts';
export { type Provider, ProviderError, providerNames, resolveProvider } from './providers.ts';
export { type Rehearsal, startRehearsal } from './rehearsal/server.ts';
export type { Story, StoryStep, TranscriptMessage } from './rehearsal/story.ts';
