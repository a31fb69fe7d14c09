import { ARGUMENTS_DEPTH, ARGUMENTS_VALUES, LIST_ELEMENTS, MASK_CHARACTERS } from './limits.ts';

/** What stands in a record where a secret stood. */
export const MASK = '[masked]';

/** Keys and tokens that give themselves away by their shape. Every alternative starts with a literal. */
const SHAPES = [
  '(?<![A-Za-z0-9_])sk-[\\w-]{8,}', // OpenAI, Anthropic (sk-ant-), OpenRouter (sk-or-)
  '(?<![A-Za-z0-9])[srp]k_(?:live|test)_\\w{8,}', // Stripe
  '(?<![A-Za-z0-9])gh[pousr]_\\w{16,}', // GitHub
  'github_pat_\\w{16,}',
  'glpat-[\\w-]{16,}', // GitLab
  'xox[a-z]-[\\w-]{8,}', // Slack
  'xapp-[\\w-]{8,}',
  '(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}', // AWS
  'AIza[\\w-]{30,}', // Google
  'ya29\\.[\\w-]{10,}',
  'nvapi-[\\w-]{16,}', // NVIDIA
  '(?<![A-Za-z0-9])hf_[A-Za-z0-9]{16,}', // Hugging Face
  '(?<![A-Za-z0-9])gsk_[A-Za-z0-9]{16,}', // Groq
  '(?<![A-Za-z0-9])npm_[A-Za-z0-9]{30,}',
  'pypi-[\\w-]{16,}',
  'dop_v1_[a-f0-9]{32,}', // DigitalOcean
  'SG\\.[\\w-]{16,}\\.[\\w-]{16,}', // SendGrid
  'AGE-SECRET-KEY-1[A-Z0-9]{20,}',
  '(?<![A-Za-z0-9])\\d{8,10}:[\\w-]{35}(?![\\w-])', // Telegram bot
  '(?<![A-Za-z0-9])eyJ[\\w-]{10,2048}\\.[\\w-]{4,}(?:\\.[\\w-]*)?', // JSON Web Token
  '-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[\\s\\S]*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|$)',
].join('|');

const SHAPE = new RegExp(SHAPES, 'g');
const ANY_SHAPE = new RegExp(SHAPES);

/** True when text holds something shaped like a key or token. */
export function hasSecretShape(text: string): boolean {
  return ANY_SHAPE.test(text);
}

/** Replaces everything shaped like a key or token, wherever it stands. */
export function maskShapes(text: string): string {
  return text.replace(SHAPE, MASK);
}

/** Name of a variable, field or option that holds a secret. */
const SECRET_NAME = [
  '(?:[\\w.-]{0,48}?(?:password|passwd|passphrase|credentials?|authorization|cookies?|signature|bearer',
  '|secret(?:[_-]?key)?|token|(?:api|access|private|signing)[_-]?key|\\w[_-]key|session[_-]?id)',
  '|(?:[\\w.-]{0,48}?[_.-])?(?:pass|pwd|pin|otp|auth))',
].join('');
const WHOLE_SECRET_NAME = new RegExp(`^-{0,2}${SECRET_NAME}$`, 'i');
/** A value as a shell or JSON delimits it: quoted parts, escapes, plain characters. */
const VALUE = '(?!\\[masked\\])(?:"(?:[^"\\\\]|\\\\.)*"?|\'[^\']*\'?|\\\\.|[^\\s"\'&;\\\\])+';

/** True for a variable, field or option name whose value is a secret (`OPENAI_API_KEY`, `--password`, `authToken`). */
export function isSecretName(name: string): boolean {
  return name.length <= 128 && WHOLE_SECRET_NAME.test(name);
}

const HEADER =
  /\b((?:proxy-)?authorization|(?:set-)?cookie|x-[a-z-]{0,32}(?:key|token|secret)|api-key)(["']?\s{0,8}:\s{0,8}["']?)[^"'\r\n]{1,8192}/gi;
const SCHEME = /\b(bearer|token)(\s{1,8})[\w.~+/=-]{12,}|\b(basic)(\s{1,8})[\w+/=-]{16,}/gi;
const URL_TEXT = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)([^\s"'<>]+)/gi;
const OPTION = new RegExp(`(^|[\\s"'=])(-${SECRET_NAME})(\\s{1,8}|=)${VALUE}`, 'gi');
const ASSIGNMENT = new RegExp(`(?<![\\w.-])(${SECRET_NAME}\\\\{0,3}["']?\\s{0,8}[=:]\\s{0,8})${VALUE}`, 'gi');
/** `-u name:password` of curl and its like; a numeric uid:gid is none. */
const USER_PASSWORD =
  /(\s-u\s{0,8}|\s--(?:proxy-)?user[\s=]\s{0,8})(["']?[^\s:"']{1,256}):(?!\d{1,10}(?:\s|$))[^\s"']{1,1024}/gi;
/** Programs whose `-p` takes a password: attached (mysql), or next (sshpass). */
const DASH_P = /\b(mysql\w{0,16}|mariadb[\w-]{0,16}|sshpass)\b([^|;&\n]{0,256}?\s)-p\s{0,1}(?!-)[^\s"']{1,1024}/gi;

/**
 * Masks secrets in free text: key shapes, authorization-like headers, bearer and basic credentials, userinfo and query
 * strings of URLs, options and assignments with a secret's name, `curl -u`, `mysql -p`, `sshpass -p`. A masker of this
 * kind misses what carries no sign of being secret; the egress plane's placeholders are what keeps credentials out.
 *
 * Looks at the first {@link MASK_CHARACTERS} characters and leaves out the rest, with the word that they cut through.
 */
export function maskText(text: string): string {
  const masked = maskShapes(cut(text))
    .replace(HEADER, `$1$2${MASK}`)
    .replace(
      SCHEME,
      (_, a?: string, gap?: string, b?: string, otherGap?: string) => `${a ?? b}${gap ?? otherGap}${MASK}`,
    )
    .replace(URL_TEXT, (_, scheme: string, rest: string) => scheme + maskUrl(rest))
    .replace(OPTION, `$1$2$3${MASK}`)
    .replace(ASSIGNMENT, `$1${MASK}`);
  return maskAcrossWords(masked);
}

/** What follows `scheme://`, without userinfo, query and fragment. */
function maskUrl(rest: string): string {
  const authority = rest.search(/[/?#]|$/);
  const at = rest.lastIndexOf('@', authority);
  const host = at === -1 || authority === 0 ? rest : `${MASK}${rest.slice(at)}`;
  const query = host.search(/[?#]/);
  return query === -1 || query === host.length - 1 ? host : `${host.slice(0, query + 1)}${MASK}`;
}

function maskAcrossWords(text: string): string {
  return text.replace(USER_PASSWORD, `$1$2:${MASK}`).replace(DASH_P, `$1$2-p${MASK}`);
}

/** Longest word that is left out whole rather than cut through. */
const WORD = 4_096;

/** The part of a text that a masker looks at: up to the last word that is whole. */
export function cut(text: string): string {
  if (text.length <= MASK_CHARACTERS) return text;
  let end = MASK_CHARACTERS;
  // A secret cut in two may no longer look like one.
  while (end > MASK_CHARACTERS - WORD && !/\s/.test(text.charAt(end - 1))) end -= 1;
  return `${text.slice(0, end)}…[${text.length - end} characters left out]`;
}

/**
 * A command line as one masked text, words quoted as a POSIX shell would need them. The value after an option with a
 * secret's name is masked whole. Ends after {@link LIST_ELEMENTS} words or {@link MASK_CHARACTERS} characters.
 */
export function maskCommandLine(argv: readonly string[]): string {
  const words: string[] = [];
  let characters = 0;
  for (const [index, word] of argv.entries()) {
    if (index >= LIST_ELEMENTS || characters > MASK_CHARACTERS) {
      words.push(`…[${argv.length - index} words left out]`);
      break;
    }
    characters += word.length;
    words.push(takesSecret(argv[index - 1]) ? MASK : quote(maskText(word)));
  }
  return maskAcrossWords(words.join(' '));
}

function takesSecret(option: string | undefined): boolean {
  return option !== undefined && /^--?[A-Za-z][\w-]*$/.test(option) && isSecretName(option);
}

function quote(word: string): string {
  return /^[\w@%+=:,./[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * A tool call's arguments as masked JSON text: strings as in {@link maskText}, and whatever stands under a key with a
 * secret's name is masked whole. Ends in markers at the limits, whatever the arguments hold.
 */
export function maskArguments(value: unknown): string {
  return maskedJson(value, 0, { values: ARGUMENTS_VALUES, characters: MASK_CHARACTERS });
}

interface Budget {
  values: number;
  characters: number;
}

const LEFT_OUT = '"[left out]"';

function maskedJson(value: unknown, depth: number, budget: Budget): string {
  budget.values -= 1;
  if (budget.values < 0 || budget.characters < 0 || depth > ARGUMENTS_DEPTH) return LEFT_OUT;
  if (typeof value === 'string') {
    budget.characters -= value.length;
    return JSON.stringify(maskText(value));
  }
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return JSON.stringify(value);
  if (Array.isArray(value))
    return `[${affordable(value, budget)
      .map((item) => maskedJson(item, depth + 1, budget))
      .join(',')}]`;
  if (typeof value !== 'object') return 'null';
  const members = affordable(Object.entries(value), budget).map(([key, item]) => {
    budget.characters -= key.length;
    if (budget.characters < 0) return `${LEFT_OUT}:${LEFT_OUT}`;
    const shown = isSecretName(key) && item !== null ? JSON.stringify(MASK) : maskedJson(item, depth + 1, budget);
    return `${JSON.stringify(maskText(key))}:${shown}`;
  });
  return `{${members.join(',')}}`;
}

/** Enough elements to use the budget up, and one more to say so. */
function affordable<Item>(items: readonly Item[], budget: Budget): readonly Item[] {
  return items.slice(0, Math.max(0, budget.values) + 1);
}
