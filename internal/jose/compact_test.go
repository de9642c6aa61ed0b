package jose_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/keystile/keystile/internal/jose"
)

// mac signs exactly these parts with the long secret.
func mac(header, payload string) string {
	input := header + "." + payload
	return input + "." + b64(must(jose.HS256.Sign(input, long)))
}

const goodHeader = `{"alg":"HS256","kid":"s" }`

func verify(token string) ([]byte, error) {
	t, err := jose.Parse(token)
	if err != nil {
		return nil, err
	}
	keys, _ := must(jose.NewSet(must(jose.NewKey("s", "", long)))).Find(&t.Header)
	payload, _, err := t.Verify(keys)
	return payload, err
}

// loosen sets a bit at the end of a part that no byte needs.
func loosen(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(part) - 1
	return part[:last] + string(alphabet[strings.IndexByte(alphabet, part[last])+1])
}

func TestCompactForm(t *testing.T) {
	header := b64([]byte(goodHeader))
	good := mac(header, b64([]byte("foo")))
	if payload, err := verify(good); err != nil || string(payload) != "foo" {
		t.Fatalf("%q, %v", payload, err)
	}
	if payload, err := verify(mac(header, "")); err != nil || len(payload) != 0 {
		t.Fatalf("an empty payload: %q, %v", payload, err)
	}
	parts := strings.Split(good, ".")
	for _, tt := range []struct{ name, token, want string }{
		{"nothing", "", "three parts"},
		{"one part", parts[0], "three parts"},
		{"two parts", parts[0] + "." + parts[1], "three parts"},
		{"four parts", good + ".", "three parts"},
		{"five parts", good + "." + parts[0] + "." + parts[1], "three parts"},
		{"no header", "." + parts[1] + "." + parts[2], "not a JSON object"},
		{"no signature", parts[0] + "." + parts[1] + ".", "no key verifies"},
		{"no payload", parts[0] + ".." + parts[2], "no key verifies"},
		{"a signature with padding", good + "=", "three parts"},
		{"a line break in the signature", good[:len(good)-1] + "\n" + good[len(good)-1:], "three parts"},
		{"a line break behind the token", good + "\r\n", "three parts"},
		{"a space before the signature", parts[0] + "." + parts[1] + ". " + parts[2], "three parts"},
		{"a tab before the token", "\t" + good, "three parts"},
		{"the alphabet of base64 proper", strings.Replace(mac(header, b64([]byte("\xfb\xff"))), "-_8", "+/8", 1), "three parts"},
		{"a MAC over a payload with a space", mac(header, " Zm9v"), "three parts"},
		{"a MAC over a payload with padding", mac(header, "Zg=="), "three parts"},
		{"a MAC over a payload with loose bits", mac(header, loosen("Zg")), "not base64url"},
		{"a MAC over a payload of one character too many", mac(header, "Zm9vZ"), "not base64url"},
		{"a header with loose bits", mac(b64([]byte(goodHeader+" "))+"A", "Zm9v"), "not base64url"},
		{"half a signature", good[:len(good)-11], "no key verifies"},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "three parts"},
	} {
		if _, err := verify(tt.token); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, tt := range []struct{ name, header, want string }{
		{"as it is", goodHeader, ""},
		{"with space", " { \"kid\" : \"s\",\n\t\"alg\" : \"HS256\" } ", ""},
		{"with a type", `{"alg":"HS256","kid":"s","typ":"JOSE"}`, ""},
		{"with members nobody knows", `{"alg":"HS256","kid":"s","x":{"y":[1]}}`, ""},
		{"with a kid that is escaped", `{"alg":"HS256","kid":"\u0073"}`, ""},
		{"with keys and addresses of its own", `{"alg":"HS256","kid":"s","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example","x5u":"https://evil.example","x5c":["MII"],"x5t":"AA"}`, ""},
		{"without alg", `{"kid":"s"}`, "no algorithm"},
		{"alg none", `{"alg":"none","kid":"s"}`, "no algorithm"},
		{"alg None", `{"alg":"None","kid":"s"}`, "no algorithm"},
		{"alg nOnE", `{"alg":"nOnE","kid":"s"}`, "no algorithm"},
		{"alg in lower case", `{"alg":"hs256","kid":"s"}`, "no algorithm"},
		{"alg that is escaped", `{"alg":"\u0048S256","kid":"s"}`, "no algorithm"},
		{"alg with a space", `{"alg":"HS256 ","kid":"s"}`, "no algorithm"},
		{"an empty alg", `{"alg":"","kid":"s"}`, "no algorithm"},
		{"alg null", `{"alg":null,"kid":"s"}`, "no algorithm"},
		{"alg in a list", `{"alg":["HS256"],"kid":"s"}`, "no algorithm"},
		{"alg that is a number", `{"alg":256,"kid":"s"}`, "no algorithm"},
		{"Alg", `{"Alg":"HS256","kid":"s"}`, "no algorithm"},
		{"an algorithm that is weak", `{"alg":"HS1","kid":"s"}`, "no algorithm"},
		{"an algorithm for encryption", `{"alg":"A256GCM","kid":"s"}`, "no algorithm"},
		{"alg twice", `{"alg":"HS256","alg":"none","kid":"s"}`, "twice"},
		{"alg twice, once escaped", `{"alg":"HS256","\u0061lg":"none","kid":"s"}`, "twice"},
		{"a kid that is a number", `{"alg":"HS256","kid":1}`, "kid"},
		{"a kid that is null", `{"alg":"HS256","kid":null}`, "kid"},
		{"a typ that is a list", `{"alg":"HS256","kid":"s","typ":["JWT"]}`, "typ"},
		{"a cty that is a number", `{"alg":"HS256","kid":"s","cty":1}`, "cty"},
		{"crit that names what nobody knows", `{"alg":"HS256","kid":"s","crit":["exp"],"exp":1}`, "crit"},
		{"crit that names a standard header", `{"alg":"HS256","kid":"s","crit":["alg"]}`, "crit"},
		{"crit that is empty", `{"alg":"HS256","kid":"s","crit":[]}`, "crit"},
		{"crit that is null", `{"alg":"HS256","kid":"s","crit":null}`, "crit"},
		{"b64 false", `{"alg":"HS256","kid":"s","b64":false,"crit":["b64"]}`, "b64"},
		{"b64 false without crit", `{"alg":"HS256","kid":"s","b64":false}`, "b64"},
		{"b64 true", `{"alg":"HS256","kid":"s","b64":true}`, "b64"},
		{"zip", `{"alg":"HS256","kid":"s","zip":"DEF"}`, "zip"},
	} {
		_, err := verify(mac(b64([]byte(tt.header)), "Zm9v"))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for typ, want := range map[string]string{
		`JWT`: "jwt", `jwt`: "jwt", `application/jwt`: "jwt", `APPLICATION/JWT`: "jwt", `at+jwt`: "at+jwt", `application/AT+JWT`: "at+jwt",
		`text/jwt`: "text/jwt", `application/jwt/x`: "application/jwt/x", ``: "", `JWT `: "jwt ",
	} {
		parsed, err := jose.Parse(mac(b64([]byte(`{"alg":"HS256","typ":"`+typ+`","cty":"`+typ+`"}`)), ""))
		if err != nil || parsed.Header.Type != want || parsed.Header.ContentType != want {
			t.Errorf("%q is %q and %q, want %q; %v", typ, parsed.Header.Type, parsed.Header.ContentType, want, err)
		}
	}
}

// What Parse takes apart has three parts of strict base64url, and a header that
// names an algorithm; nothing but the true MAC verifies.
func FuzzParse(f *testing.F) {
	good := mac(b64([]byte(goodHeader)), b64([]byte("foo")))
	for _, token := range []string{good, good + ".", "..", "", ".", strings.Replace(good, ".", "..", 1), good[:40], mac(b64([]byte(`{"alg":"none"}`)), ""), mac(b64([]byte(`{"alg":"HS256","typ":"at+jwt","cty":"JWT"}`)), "Zh")} {
		f.Add(token)
	}
	key := must(jose.NewKey("", "", long))
	f.Fuzz(func(t *testing.T, token string) {
		parsed, err := jose.Parse(token)
		if err != nil {
			return
		}
		if !jose.IsCompact(token) || strings.Count(token, ".") != 2 || parsed.Header.Algorithm.Kind() == jose.KindUnknown {
			t.Fatalf("%q: %+v", token, parsed.Header)
		}
		payload, _, err := parsed.Verify([]*jose.Key{key})
		parts := strings.Split(token, ".")
		want := "-"
		if parsed.Header.Algorithm.Kind() == jose.KindSecret {
			want = base64.RawURLEncoding.EncodeToString(must(parsed.Header.Algorithm.Sign(parts[0]+"."+parts[1], long)))
		}
		if canonical := base64.RawURLEncoding.EncodeToString(payload) == parts[1]; err == nil && (parts[2] != want || !canonical) {
			t.Fatalf("%q verifies", token)
		}
	})
}
