package bearer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/bearer"
)

// malformed are texts that are no JSON objects, or not what RFC 7515 and RFC 7519
// want of one. The @ stands for members that would make a good header or good
// claims, so that nothing but the flaw is against them.
func malformed() []string {
	texts := []string{
		// The text as a whole.
		"", " ", "\n", "@", "{@", "@}", "{{@}", "{@}}", "{{@}}", "[{@}]", "[@]", "({@})", "{@},", "{@};", "{@}{}", "{@} {@}", "{@}[]",
		"{@}null", "{@}0", "{@}\x00", "\x00{@}", "\ufeff{@}", "\u00a0{@}", "{@}\u00a0", "\v{@}", "\f{@}", "{@}\u2028", "null", "true", "false", "0",
		`""`, `"{@}"`, "[]", "[[]]", "undefined", "{@}//", "{@}/**/", "/**/{@}", "// x\n{@}", "# x\n{@}", "'{@}'", "<x>{@}</x>", "data:{@}", "{@}\\n", "\\{@}",
		// Members and what stands between them.
		"{@,}", "{,@}", "{@,,\"x\":1}", "{@ \"x\":1}", "{@;\"x\":1}", "{@,\"x\"}", "{@,\"x\":}", "{@,\"x\" 1}", "{@,\"x\"=1}", "{@,\"x\":1:2}", "{@,\"x\"::1}",
		"{@,:1}", "{@,1:1}", "{@,x:1}", "{@,'x':1}", "{@,null:1}", "{@,true:1}", "{@,[\"x\"]:1}", "{@,{}:1}", "{@,\"x\":1 \"y\":2}", "{@,\"x\":1,}", "{@\v,\"x\":1}",
		"{@,\"x\"\u00a0:1}", "{@,\"x\":/**/1}", "{@,\"x\":1//\n}", "{@,...}", "{@,\"x\":,}", "{@,\"\":}", "{@,\"x\"\"y\":1}", "{@,\"x\":1)", "(@}", "{@]", "[@}",
		// Lists.
		"{@,\"x\":[}", "{@,\"x\":]}", "{@,\"x\":[1,]}", "{@,\"x\":[,1]}", "{@,\"x\":[1,,2]}", "{@,\"x\":[1 2]}", "{@,\"x\":[1;2]}", "{@,\"x\":[1}", "{@,\"x\":[[1]}", "{@,\"x\":[1]]}",
		"{@,\"x\":[\"a\":1]}", "{@,\"x\":(1)}", "{@,\"x\":[1:2]}",
		// Numbers.
		"{@,\"x\":01}", "{@,\"x\":-01}", "{@,\"x\":00}", "{@,\"x\":1.}", "{@,\"x\":.1}", "{@,\"x\":-.1}", "{@,\"x\":-}", "{@,\"x\":--1}", "{@,\"x\":+1}", "{@,\"x\":1e}", "{@,\"x\":1e+}", "{@,\"x\":1E-}",
		"{@,\"x\":1.e1}", "{@,\"x\":1e1.5}", "{@,\"x\":1e1e1}", "{@,\"x\":1.2.3}", "{@,\"x\":0x1}", "{@,\"x\":0b1}", "{@,\"x\":0o1}", "{@,\"x\":1_000}", "{@,\"x\":1,000}", "{@,\"x\":1 000}", "{@,\"x\":NaN}",
		"{@,\"x\":nan}", "{@,\"x\":-NaN}", "{@,\"x\":Infinity}", "{@,\"x\":-Infinity}", "{@,\"x\":inf}", "{@,\"x\":1f}", "{@,\"x\":1n}", "{@,\"x\":1L}", "{@,\"x\":\u0661}", "{@,\"x\":1e\u0661}", "{@,\"x\":$1}", "{@,\"x\":1%}",
		// Words.
		"{@,\"x\":True}", "{@,\"x\":TRUE}", "{@,\"x\":tru}", "{@,\"x\":truee}", "{@,\"x\":False}", "{@,\"x\":fals}", "{@,\"x\":Null}", "{@,\"x\":nul}", "{@,\"x\":nulll}", "{@,\"x\":nil}", "{@,\"x\":None}", "{@,\"x\":undefined}",
		"{@,\"x\":yes}", "{@,\"x\":x}", "{@,\"x\":t}", "{@,\"x\":n ull}", "{@,\"x\":!0}", "{@,\"x\":*}", "{@,\"x\":&a 1}", "{@,\"x\":function(){}}", "{@,\"x\":new Date()}",
		// Strings.
		"{@,\"x\":\"}", "{@,\"x\":\"a}", "{@,\"x\":a\"}", "{@,\"x}", "{@,\"x\":'a'}", "{@,\"x\":`a`}", "{@,\"x\":\u201ca\u201d}", "{@,\"x\":\"a\"b\"}", "{@,\"x\":\"a\" \"b\"}", "{@,\"x\":\"a\"+\"b\"}", "{@,\"x\":\"\\\"}",
		`{@,"x":"\x61"}`, `{@,"x":"\a"}`, `{@,"x":"\v"}`, `{@,"x":"\0"}`, `{@,"x":"\'"}`, `{@,"x":"\ "}`, `{@,"x":"\U00000061"}`, `{@,"x":"\N{DASH}"}`, `{@,"x":"\u"}`, `{@,"x":"\u0"}`, `{@,"x":"\u006"}`, `{@,"x":"\u006g"}`,
		`{@,"x":"\u{61}"}`, `{@,"x":"\u+061"}`, `{@,"x":"\u 061"}`, `{@,"x":"\u-061"}`, "{@,\"x\":\"a\\\nb\"}", `{@,"x":"\ud800"}`, `{@,"x":"\udc00"}`, `{@,"x":"\udfff\ud800"}`, `{@,"x":"\ud800a"}`, `{@,"x":"\ud800\n"}`, `{@,"x":"\ud800\ud800"}`,
		`{@,"x":"\ud83d\u"}`, `{@,"x":"\ud83d\u00"}`, `{@,"\ud800":1}`, `{@,"\x":1}`, `{@,"x":{"y":"\ud800"}}`,
		// Text that is not UTF-8.
		"{@,\"x\":\"\xff\"}", "{@,\"x\":\"\x80\"}", "{@,\"x\":\"\xc0\xaf\"}", "{@,\"x\":\"\xc3\"}", "{@,\"x\":\"\xe2\x82\"}", "{@,\"x\":\"\xed\xa0\x80\"}", "{@,\"x\":\"\xf4\x90\x80\x80\"}", "{@,\"x\":\"\xf8\x88\x80\x80\x80\"}", "{@,\"\xff\":1}",
		"{@,\"x\":\"\xe9\"}", "\xff\xfe{\x00@}\x00", "{@,\"x\":[\"\xfe\"]}", "{@\xff}", "\xef\xbb{@}",
		// Names that are there twice.
		"{@,\"x\":1,\"x\":1}", "{@,\"x\":1,\"x\":2}", `{@,"x":1,"\u0078":2}`, `{@,"\u0078":1,"x":2}`, `{@,"\/":1,"/":2}`, `{@,"":1,"":2}`, `{@,"x":{"y":1,"y":2}}`, `{@,"x":{"y":{"z":{"a":1,"a":2}}}}`, `{@,"x":[{"y":1},{"y":1,"y":1}]}`,
		`{@,"x":[[[{"y":1,"z":2,"y":3}]]]}`, `{@,@}`, `{@,"😀":1,"\ud83d\ude00":2}`, `{@,"x":{},"y":{},"x":{}}`,
		// Nesting.
		"{@,\"x\":" + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", "{@,\"x\":" + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", "{@,\"x\":" + strings.Repeat("[", 1000) + "}",
		"{@,\"x\":" + strings.Repeat(`{"x":`, 32) + "1" + strings.Repeat("}", 32) + "}", "{@,\"x\":" + strings.Repeat(`{"x":`, 500),
	}
	for c := range rune(' ') { // RFC 8259 section 7
		texts = append(texts, fmt.Sprintf("{@,\"x\":\"a%cb\"}", c), fmt.Sprintf("{@,\"x%c\":1}", c))
	}
	return texts
}

func TestMalformedJSONIsRefused(t *testing.T) {
	texts := malformed()
	if len(texts) < 150 {
		t.Fatalf("only %d texts", len(texts))
	}
	seen := map[string]bool{}
	a := newAuthenticator(t, bearer.Config{})
	members := strings.Trim(claims(nil), "{}")
	for _, text := range texts {
		if seen[text] {
			t.Errorf("%q is there twice", text)
		}
		seen[text] = true
		for what, token := range map[string]string{
			"header": sign(bearer.HS256, []byte(secret), strings.ReplaceAll(text, "@", `"alg":"HS256"`), claims(nil)),
			"claims": hs(strings.ReplaceAll(text, "@", members)),
		} {
			_, err := present(a, token)
			if err == nil {
				t.Errorf("%q is accepted as %s", text, what)
				continue
			}
			wantRefused(t, err, keystile.CodeUnauthorized, "")
		}
	}
	// The frame itself is good.
	for _, text := range []string{"{@}", " {@ } ", "{@,\"x\":[]}", `{@,"x":"\ud83d\ude00\/","y":-0.5e+1}`, "{@,\"x\":" + strings.Repeat("[", 31) + strings.Repeat("]", 31) + "}"} {
		wantAccepted(t, a, sign(bearer.HS256, []byte(secret), strings.ReplaceAll(text, "@", `"alg":"HS256"`), claims(nil)))
		wantAccepted(t, a, hs(strings.ReplaceAll(text, "@", members)))
	}
	t.Logf("%d texts, as header and as claims", len(texts))
}
