export type { Audit } from './ledger.ts';
export * from './limits.ts';
export { type InferenceOptions, InferencePlane, type RequestContext } from './plane.ts';
export { createProvider, type Provider, ProviderError, providerNames, resolveProvider } from './providers.ts';
export { type Rehearsal, startRehearsal } from './rehearsal/server.ts';
export type { Story, StoryStep, TranscriptMessage } from './rehearsal/story.ts';
