/**
 * Agents repair models that write a tool call as text: OpenClaw runs an answer whose whole text consists of such calls.
 * A call that never was a structured one has passed no gate, so an answer that could be read so must not end normally.
 */

/** The openings that OpenClaw's repair understands, with the payload that must follow. */
const OPENING = new RegExp(
  [
    String.raw`\[(?:tool:)?[\w-]{1,120}\]\s*(?:\{|<(?:parameter|/?function))`,
    '<function=',
    String.raw`(?:<\|channel\|>)?(?:commentary|analysis|final)[ \t]+to=[\w-]{1,120}[ \t]+code\s*(?:<\|message\|>\s*)?\{`,
    '<tool_call>',
    '<[|｜]{1,2}DSML',
  ].join('|'),
  'iu',
);
const OPENING_FIRST = new RegExp(`^\\s*(?:${OPENING.source})`, 'iu');

/** Tags that models put around reasoning. An agent takes them out, and what is between them, before it looks for calls. */
const REASONING_TAG = /<(\/?)\s*(?:\w*think\w*|thought|reasoning|final|commentary|analysis)\b[^<>]*>/giu;
const OTHER_TAG = /<(?!function=|parameter=|\/function|\/parameter|\||｜|tool_call)[^<>]*>/giu;

/**
 * True when an agent that repairs text calls could run one from this text: it begins with one, or reasoning tags leave
 * open where it begins. Linear in the length of the text; errs towards true.
 */
export function couldBeTextCall(text: string): boolean {
  if (OPENING_FIRST.test(text)) return true;
  if (text.search(REASONING_TAG) === -1) return false;
  const bare = text.replace(OTHER_TAG, '');
  return [text, withoutReasoning(text), bare, bare.replace(OTHER_TAG, '')].some((view) => OPENING.test(view));
}

function withoutReasoning(text: string): string {
  let kept = '';
  let from: number | undefined = 0;
  for (const tag of text.matchAll(REASONING_TAG)) {
    const closing = tag[1] === '/';
    if (from !== undefined) kept += text.slice(from, tag.index);
    from = closing ? tag.index + tag[0].length : undefined;
  }
  return from === undefined ? kept : kept + text.slice(from);
}
