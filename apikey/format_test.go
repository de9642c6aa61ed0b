package apikey_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// formats are one of each kind.
var formats = []struct {
	name   string
	f      apikey.Format
	length int
	regexp string
	hint   int // length
}{
	{"the default", apikey.Format{Prefix: "acme_"}, 5 + 30 + 6, `acme_[0-9A-Za-z]{36}`, 5 + 8},
	{"hex without a checksum, as Whatomate has it", apikey.Format{Prefix: "whm_", Alphabet: apikey.Hex, Checksum: apikey.NoChecksum}, 4 + 32, `whm_[0-9a-f]{32}`, 4 + 8},
	{"hex with a checksum", apikey.Format{Prefix: "a-b-", Alphabet: apikey.Hex, Length: 40, Shown: apikey.ShowNothing}, 4 + 40 + 6, `a-b-[0-9a-f]{40}[0-9A-Za-z]{6}`, 4},
	{"base64url", apikey.Format{Prefix: "acme_live_", Alphabet: apikey.Base64URL, Shown: 1}, 10 + 24 + 6, `acme_live_[0-9A-Za-z_-]{24}[0-9A-Za-z]{6}`, 10 + 1},
	{"the shortest", apikey.Format{Prefix: "a_", Length: 22}, 2 + 22 + 6, `a_[0-9A-Za-z]{28}`, 2 + 5},
	{"the longest", apikey.Format{Prefix: "a_", Length: 256}, 2 + 256 + 6, `a_[0-9A-Za-z]{262}`, 2 + 8},
}

// generate makes a key of f.
func generate(t testing.TB, f apikey.Format) keystile.Secret {
	t.Helper()
	_, secret := issue(t, newKeys(t, apikey.Config{Format: f}), apikey.Draft{})
	return secret
}

func TestGeneratedKeysHaveTheirFormat(t *testing.T) {
	for _, tt := range formats {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.f.ConfigErr(); err != nil {
				t.Fatal(err)
			}
			if got := tt.f.Regexp(); got != tt.regexp {
				t.Errorf("Regexp is %s, want %s", got, tt.regexp)
			}
			expression := regexp.MustCompile("^(?:" + tt.f.Regexp() + ")$")
			keys := newKeys(t, apikey.Config{Format: tt.f})
			before := map[string]bool{}
			for range 200 {
				k, secret := issue(t, keys, apikey.Draft{})
				s := string(secret)
				if len(s) != tt.length || !expression.MatchString(s) {
					t.Fatalf("%d characters, want %d that match %s", len(s), tt.length, expression)
				}
				if before[s] {
					t.Fatal("a secret was generated twice")
				}
				before[s] = true
				if err := tt.f.Check(secret); err != nil {
					t.Fatalf("Check refuses it: %v", err)
				}
				if k.Hint != s[:tt.hint] || tt.f.Hint(secret) != k.Hint {
					t.Errorf("hint %q and %q, want the first %d characters", k.Hint, tt.f.Hint(secret), tt.hint)
				}
				if tt.f.Checksum == apikey.CRC32 && s[len(s)-6:] != checksum(s[:len(s)-6]) {
					t.Errorf("the checksum of the key is not %s", checksum(s[:len(s)-6]))
				}
			}
		})
	}
}

// checksum is written here once more, from its description.
func checksum(s string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := crc32.ChecksumIEEE([]byte(s))
	text := ""
	for ; sum > 0; sum /= 62 {
		text = string(digits[sum%62]) + text
	}
	return strings.Repeat("0", 6-len(text)) + text
}

func TestTheChecksumIsPaddedOnTheLeft(t *testing.T) {
	f := apikey.Format{Prefix: "acme_"}
	short := ""
	for i := 0; short == ""; i++ { // one in 62^2 begins so
		body := fmt.Sprintf("acme_%030d", i)
		if c := checksum(body); strings.HasPrefix(c, "00") {
			short = body + c
		}
	}
	if err := f.Check(keystile.Secret(short)); err != nil {
		t.Errorf("%s: %v", short, err)
	}
	if err := f.Check(keystile.Secret(strings.Replace(short, "00", "0", 1))); err == nil {
		t.Error("a checksum without its padding is taken")
	}
}

// The classic known-answer test of CRC-32/IEEE: the checksum of 123456789 is
// cbf43926.
func TestTheChecksumIsCRC32IEEE(t *testing.T) {
	if got := checksum("123456789"); got != "3jZRME" {
		t.Errorf("the checksum of 123456789 in base 62 is %s, want 3jZRME", got)
	}
}

// Every character is as likely as any other: chi-squared over many characters,
// with a limit that chance exceeds once in 10^9 runs.
func TestTheRandomPartHasNoBias(t *testing.T) {
	for _, f := range []apikey.Format{
		{Prefix: "a_", Length: 256, Checksum: apikey.NoChecksum},
		{Prefix: "a_", Length: 256, Checksum: apikey.NoChecksum, Alphabet: apikey.Hex},
		{Prefix: "a_", Length: 256, Checksum: apikey.NoChecksum, Alphabet: apikey.Base64URL},
	} {
		keys := newKeys(t, apikey.Config{Format: f})
		counts := map[rune]float64{}
		const rounds = 800
		for range rounds {
			_, secret := issue(t, keys, apikey.Draft{})
			for _, c := range string(secret)[2:] {
				counts[c]++
			}
		}
		letters := map[apikey.Alphabet]float64{apikey.Base62: 62, apikey.Hex: 16, apikey.Base64URL: 64}[f.Alphabet]
		if float64(len(counts)) != letters {
			t.Errorf("alphabet %d: %d letters, want %.0f", f.Alphabet, len(counts), letters)
		}
		want := rounds * 256 / letters
		chi := 0.0
		for _, got := range counts {
			chi += (got - want) * (got - want) / want
		}
		freedom := letters - 1
		// Wilson and Hilferty: the cube root of chi/freedom is nearly normal.
		z := (math.Cbrt(chi/freedom) - (1 - 2/(9*freedom))) / math.Sqrt(2/(9*freedom))
		if z > 6 {
			t.Errorf("alphabet %d: chi-squared %.0f of %.0f degrees, %.1f deviations too many", f.Alphabet, chi, freedom, z)
		}
	}
}

func TestCheckGoesFromCheapToDear(t *testing.T) {
	f := apikey.Format{Prefix: "acme_"}
	good := string(generate(t, f))
	replace := func(i int, c byte) string { return good[:i] + string(c) + good[i+1:] }
	other := byte('x')
	if good[20] == 'x' {
		other = 'y'
	}
	body := "acme_" + strings.Repeat("-", 30)
	for _, tt := range []struct{ name, secret, want string }{
		{"empty", "", "length"},
		{"one short", good[:len(good)-1], "length"},
		{"one long", good + "0", "length"},
		{"a megabyte", strings.Repeat("a", 1<<20), "length"},
		{"another prefix", "ACME_" + good[5:], "prefix"},
		{"a prefix that is one off", "acme-" + good[5:], "prefix"},
		{"one letter changed", replace(20, other), "checksum"},
		{"a letter of the checksum changed", good[:len(good)-1] + map[bool]string{true: "1", false: "0"}[good[len(good)-1] == '0'], "checksum"},
		{"two letters swapped", good[:10] + swapped(good[10:]), "checksum"},
		{"a control character", replace(20, 0), "checksum"},
		{"a character of another alphabet, with the right checksum", body + checksum(body), "alphabet"},
	} {
		err := f.Check(keystile.Secret(tt.secret))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want something about the %s", tt.name, err, tt.want)
		}
		if len(tt.secret) > 6 && err != nil && strings.Contains(err.Error(), tt.secret[:6]) {
			t.Errorf("%s: the error repeats the secret", tt.name)
		}
		if got := f.Hint(keystile.Secret(tt.secret)); got != "" {
			t.Errorf("%s: has the hint %q", tt.name, got)
		}
	}
}

// swapped swaps the first two letters that differ.
func swapped(s string) string {
	for i := 1; i < len(s); i++ {
		if s[i] != s[i-1] {
			return s[:i-1] + string(s[i]) + string(s[i-1]) + s[i+1:]
		}
	}
	return s
}

// A checksum finds every mistake of one letter.
func TestNoSingleMistypedLetterPasses(t *testing.T) {
	f := apikey.Format{Prefix: "acme_"}
	good := string(generate(t, f))
	for i := range len(good) {
		for c := range 256 {
			if byte(c) != good[i] && f.Check(keystile.Secret(good[:i]+string([]byte{byte(c)})+good[i+1:])) == nil {
				t.Errorf("with %q at %d it passes", rune(c), i)
			}
		}
	}
}

func TestALaxFormatLooksAtPrefixAndLengthOnly(t *testing.T) {
	f := apikey.LaxFormat("whm_", 36, 40)
	if got, want := f.Regexp(), `whm_[!-~]{32,36}`; got != want {
		t.Errorf("Regexp is %s, want %s", got, want)
	}
	for _, tt := range []struct {
		secret string
		good   bool
	}{
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", true},
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6!~.:", true},
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p", false},
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6!~.:x", false},
		{"WHM_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", false},
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5 6", false},
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5\x006", false},
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5\xff6", false},
		{"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5é", false},
	} {
		if err := f.Check(keystile.Secret(tt.secret)); (err == nil) != tt.good {
			t.Errorf("%q: %v", tt.secret, err)
		}
	}
	if got := f.Hint("whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"); got != "whm_a1b2" {
		t.Errorf("hint %q", got)
	}
	f.Shown = 8
	if got := f.Hint("whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"); got != "whm_a1b2c3d4" {
		t.Errorf("hint %q with 8 characters", got)
	}
}

// Keys of several shapes live in one store, as those of a service that changed
// its format, or of four services.
func TestSeveralFormatsSideBySide(t *testing.T) {
	keys := newKeys(t, apikey.Config{
		Format: apikey.Format{Prefix: "whm_", Alphabet: apikey.Hex, Checksum: apikey.NoChecksum},
		Accept: []apikey.Format{apikey.LaxFormat("whm_", 36, 36), apikey.LaxFormat("", 39, 42), acme},
	})
	_, fresh := issue(t, keys, apikey.Draft{})
	old := generate(t, acme)
	for i, secret := range []keystile.Secret{
		"whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", "89aUAtBusdfohhZI6zoFNasd89023rsdf3X3h44c", old,
	} {
		if _, err := keys.Import(t.Context(), secret, apikey.Key{ID: fmt.Sprint("k", i)}); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, keys, secret, "")
	}
	wantVerdict(t, keys, fresh, "")
	_, err := keys.Import(t.Context(), "short", apikey.Key{ID: "k"})
	if !errors.Is(err, apikey.ErrInvalid) || !strings.Contains(err.Error(), "Config.Accept") {
		t.Errorf("a secret of no format: %v, want the remedy", err)
	}
}

// FuzzFormat checks what Check takes against the description of the format.
func FuzzFormat(f *testing.F) {
	for _, tt := range formats {
		f.Add(string(generate(f, tt.f)))
	}
	body := "acme_" + strings.Repeat("-", 30)
	for _, s := range []string{"", "acme_", "acme_\x00", "whm_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", body + checksum(body), strings.Repeat("a", 513), "\xff\xfe", "acme_é"} {
		f.Add(s)
	}
	lax := apikey.LaxFormat("whm_", 36, 40)
	var expressions []*regexp.Regexp
	for _, tt := range formats {
		expressions = append(expressions, regexp.MustCompile(`\A(?:`+tt.f.Regexp()+`)\z`))
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, tt := range formats {
			want := expressions[i].MatchString(s) &&
				(tt.f.Checksum == apikey.NoChecksum || checksum(s[:len(s)-6]) == s[len(s)-6:])
			if got := tt.f.Check(keystile.Secret(s)) == nil; got != want {
				t.Errorf("%s: %q is taken: %v, want %v", tt.name, s, got, want)
			}
			if hint := tt.f.Hint(keystile.Secret(s)); (hint != "") != want || len(s) > 0 && len(hint) >= len(s) {
				t.Errorf("%s: %q has the hint %q", tt.name, s, hint)
			}
		}
		visible := !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
		want := strings.HasPrefix(s, "whm_") && len(s) >= 36 && len(s) <= 40 && visible
		if got := lax.Check(keystile.Secret(s)) == nil; got != want {
			t.Errorf("lax: %q is taken: %v, want %v", s, got, want)
		}
	})
}
