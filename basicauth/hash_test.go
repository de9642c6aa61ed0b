package basicauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/basicauth"
)

func TestHashAndVerify(t *testing.T) {
	h, err := basicauth.Hash("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(h), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s", string(h))
	}
	if k, err := basicauth.KindOf(h); err != nil || k != basicauth.Argon2idKind(19456, 2, 1) {
		t.Errorf("%v, %v", k, err)
	}
	if err := basicauth.Verify(h, "correct horse"); err != nil {
		t.Error(err)
	}
	if err := basicauth.Verify(h, "correct horse "); !errors.Is(err, basicauth.ErrMismatch) {
		t.Errorf("another password: %v", err)
	}
	if again, _ := basicauth.Hash("correct horse"); again == h {
		t.Error("two hashes of one password are the same: the salt is not random")
	}
}

func TestHashRefusesWhatBasicCannotCarry(t *testing.T) {
	for _, tt := range []struct {
		name, password, reason string
	}{
		{"empty", "", "empty"},
		{"with a line feed", "a\nb", "control character"},
		{"with a NUL", "a\x00", "control character"},
		{"in Latin-1", "caf\xe9", "UTF-8"},
		{"too long", strings.Repeat("x", basicauth.MaxPassword+1), "512"},
	} {
		if h, err := basicauth.Hash(keystile.Secret(tt.password)); err == nil || h != "" || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s: %v, want an error about %q", tt.name, err, tt.reason)
		}
	}
	long := strings.Repeat("x", basicauth.MaxPassword)
	users := newUsers(t, user(strings.Repeat("n", basicauth.MaxName), long))
	want(t, newBasic(t, basicauth.Config{Users: users}), as(strings.Repeat("n", basicauth.MaxName), long), 200)
}

// The first two are test vectors of the reference implementation of argon2, the
// third was made by Apache's htpasswd.
func TestHashesOfOthers(t *testing.T) {
	for _, tt := range []struct {
		name, hash, password string
	}{
		{"argon2id with 256 KiB", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"argon2id with two lanes", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"},
		{"htpasswd -B", "$2y$05$bxzuvbUHzXXbKItVgM2/leZ3GCJFQg0lGHNOfsqvKkaNd1CwBkToa", "correct horse:battery é"},
	} {
		if err := basicauth.Verify(basicauth.PasswordHash(tt.hash), keystile.Secret(tt.password)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := basicauth.Verify(basicauth.PasswordHash(tt.hash), keystile.Secret(tt.password+"x")); !errors.Is(err, basicauth.ErrMismatch) {
			t.Errorf("%s, another password: %v", tt.name, err)
		}
	}
}

func TestWhichHashesAreTaken(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	bcrypt53 := strings.Repeat("a", 53)
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + sum }
	for _, tt := range []struct {
		name, hash, reason string // reason "": taken
	}{
		{"bcrypt 2a", "$2a$10$" + bcrypt53, ""},
		{"bcrypt 2b of cost 14", "$2b$14$" + bcrypt53, ""},
		{"bcrypt 2y of cost 4", "$2y$04$" + bcrypt53, ""},
		{"bcrypt of cost 3", "$2b$03$" + bcrypt53, "bcrypt cost 3"},
		{"bcrypt of cost 15", "$2b$15$" + bcrypt53, "bcrypt cost 15"},
		{"a hash-cost bomb in bcrypt", "$2b$31$" + bcrypt53, "dearer than cost 14"},
		{"bcrypt of cost 99", "$2b$99$" + bcrypt53, "bcrypt cost 99"},
		{"bcrypt that is cut off", "$2b$10$" + bcrypt53[1:], "malformed"},
		{"bcrypt with a character too many", "$2b$10$" + bcrypt53 + "a", "malformed"},
		{"bcrypt with a character of another alphabet", "$2b$10$" + bcrypt53[1:] + "=", "malformed"},
		{"bcrypt with a letter in its cost", "$2b$1x$" + bcrypt53, "malformed"},
		{"bcrypt with the sign bug", "$2x$10$" + bcrypt53, "2x"},
		{"the first bcrypt", "$2$10$" + bcrypt53, "first bcrypt"},
		{"argon2id", argon("m=19456,t=2,p=1"), ""},
		{"argon2id as PHP makes it", argon("m=65536,t=4,p=1"), ""},
		{"argon2id as libsodium makes it for moderate use", argon("m=262144,t=3,p=1"), ""},
		{"argon2id at its least", argon("m=8,t=1,p=1"), ""},
		{"a hash-cost bomb in argon2id's memory", argon("m=4194304,t=1,p=1"), "dearer"},
		{"a hash-cost bomb in argon2id's passes", argon("m=1024,t=4294967295,p=1"), "dearer"},
		{"a hash-cost bomb in argon2id's threads", argon("m=65536,t=1,p=255"), "dearer"},
		{"argon2id with more threads than there are", argon("m=65536,t=1,p=256"), "dearer"},
		{"argon2id whose memory and passes are dear together", argon("m=262144,t=5,p=1"), "dearer"},
		{"argon2id with a number beyond 32 bits", argon("m=4294967296,t=1,p=1"), "malformed"},
		{"argon2id without passes", argon("m=8,t=0,p=1"), "malformed"},
		{"argon2id with too little memory for its threads", argon("m=15,t=1,p=2"), "does not know"},
		{"argon2id with a leading zero", argon("m=08,t=1,p=1"), "malformed"},
		{"argon2id with a sign", argon("m=+8,t=1,p=1"), "malformed"},
		{"argon2id with its parameters in another order", argon("t=1,m=8,p=1"), "malformed"},
		{"argon2id with a parameter too few", argon("m=8,t=1"), "malformed"},
		{"argon2id with a parameter too many", argon("m=8,t=1,p=1,x=1"), "malformed"},
		{"argon2id with a parameter twice", argon("m=8,t=1,p=1,p=1"), "malformed"},
		{"argon2id with a comma too many", argon("m=8,t=1,p=1,"), "malformed"},
		{"argon2id with a key ID", argon("m=8,t=1,p=1,keyid=AAAA"), "malformed"},
		{"argon2id of version 16", "$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + sum, "malformed"},
		{"argon2id without version", "$argon2id$m=8,t=1,p=1$" + salt + "$" + sum, "malformed"},
		{"argon2id without hash", "$argon2id$v=19$m=8,t=1,p=1$" + salt, "malformed"},
		{"argon2id without salt", "$argon2id$v=19$m=8,t=1,p=1$$" + sum, "malformed"},
		{"argon2id with a short salt", "$argon2id$v=19$m=8,t=1,p=1$c29tZQ$" + sum, "malformed"},
		{"argon2id with a short hash", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$c29tZQ", "malformed"},
		{"argon2id with a long salt", "$argon2id$v=19$m=8,t=1,p=1$" + strings.Repeat("AAAA", 22) + "$" + sum, "malformed"},
		{"argon2id with a long hash", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("AAAA", 22), "malformed"},
		{"argon2id with padding", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "=$" + sum, "malformed"},
		{"argon2id with stray bits", "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHR$" + sum, "malformed"},
		{"argon2id in two lines", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "\n$" + sum, "malformed"},
		{"argon2id with something behind", argon("m=8,t=1,p=1") + "$", "malformed"},
		{"argon2i", "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + sum, "argon2i"},
		{"argon2d", "$argon2d$v=19$m=8,t=1,p=1$" + salt + "$" + sum, "argon2d"},
		{"md5-crypt", "$1$saltsalt$0123456789012345678901", "md5-crypt"},
		{"scrypt", "$scrypt$ln=16,r=8,p=1$aaaa$bbbb", "scrypt"},
		{"yescrypt", "$y$j9T$abc$def", "yescrypt"},
		{"PBKDF2", "$pbkdf2-sha256$29000$abc$def", "PBKDF2"},
		{"salted SHA-1", "{SSHA}abc", "SSHA"},
		{"an invention", "$quux$x", "unknown scheme"},
		{"nothing", "", "empty"},
		{"a megabyte", argon("m=8,t=1,p=1") + strings.Repeat("A", 1<<20), "longer than any"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := basicauth.KindOf(basicauth.PasswordHash(tt.hash))
			if tt.reason == "" {
				if err != nil || k.ConfigErr() != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatalf("taken as %v", k)
			}
			if !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("%v does not say %q", err, tt.reason)
			}
			for _, part := range []string{salt, sum, bcrypt53[1:]} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("%v shows the hash", err)
				}
			}
			if err := basicauth.Verify(basicauth.PasswordHash(tt.hash), "x"); err == nil || errors.Is(err, basicauth.ErrMismatch) {
				t.Errorf("Verify: %v, want the same refusal", err)
			}
		})
	}
}

// The Okta bypass of 2024, and R58: bcrypt does not look at what follows 72 bytes.
func TestBcryptRefusesPasswordsItCannotSee(t *testing.T) {
	seen := strings.Repeat("p", 72)
	h, err := bcrypt.GenerateFromPassword([]byte(seen), 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{72, 73, 200, 500} {
		password := strings.Repeat("p", n)
		if bcrypt.CompareHashAndPassword(h, []byte(password)) != nil {
			t.Fatalf("%d bytes: bcrypt itself is not fooled any more: is the rule still needed?", n)
		}
		if err := basicauth.Verify(basicauth.PasswordHash(h), keystile.Secret(password)); !errors.Is(err, basicauth.ErrMismatch) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	just := basicauth.HashAs(cheap4, seen[1:])
	if err := basicauth.Verify(just, keystile.Secret(seen[1:])); err != nil {
		t.Errorf("71 bytes: %v", err)
	}
	long := basicauth.HashAs(tiny, seen+seen)
	if err := basicauth.Verify(long, keystile.Secret(seen+seen)); err != nil {
		t.Errorf("144 bytes against argon2id: %v", err)
	}
	if err := basicauth.Verify(long, keystile.Secret(seen+seen[1:]+"q")); !errors.Is(err, basicauth.ErrMismatch) {
		t.Errorf("another 144 bytes against argon2id: %v", err)
	}
}

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		kind   basicauth.Kind
		text   string
		reason string
	}{
		{basicauth.BcryptKind(12), "bcrypt 12", ""},
		{basicauth.BcryptKind(3), "bcrypt 3", "does not know"},
		{basicauth.BcryptKind(15), "bcrypt 15", "dearer"},
		{basicauth.BcryptKind(-1), "bcrypt 2147483648", "dearer"},
		{basicauth.Argon2idKind(19456, 2, 1), "argon2id m=19456,t=2,p=1", ""},
		{basicauth.Argon2idKind(1<<40, 2, 1), "argon2id m=2147483648,t=2,p=1", "dearer"},
		{basicauth.Argon2idKind(19456, 2, 1000), "argon2id m=19456,t=2,p=255", "dearer"},
		{basicauth.Argon2idKind(0, 0, 0), "argon2id m=0,t=0,p=0", "does not know"},
		{basicauth.Kind{}, "none", "no kind"},
	} {
		if got := tt.kind.String(); got != tt.text {
			t.Errorf("%q, want %q", got, tt.text)
		}
		switch err := tt.kind.ConfigErr(); {
		case (err != nil) != (tt.reason != ""):
			t.Errorf("%v: %v", tt.kind, err)
		case err != nil && !strings.Contains(err.Error(), tt.reason):
			t.Errorf("%v does not say %q", err, tt.reason)
		}
	}
}

// R47: no type of this package prints a password or a hash.
func TestNoSecretIsPrinted(t *testing.T) {
	const password = "hunter2hunter2"
	u := user("alice", password)
	users := newUsers(t, u)
	basic := newBasic(t, basicauth.Config{Users: users})
	p, err := basic.Authenticate(as("alice", password))
	if err != nil {
		t.Fatal(err)
	}
	found, _ := basicauth.From(p)
	_, wrong := basic.Authenticate(as("alice", password+"x"))
	throttle, err := basicauth.NewMemoryThrottle(basicauth.ThrottleConfig{})
	if err != nil {
		t.Fatal(err)
	}
	file := htpasswd(t, passwords(t, line("bob", password)), basicauth.HtpasswdConfig{})
	var out strings.Builder
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		for _, v := range []any{u, &u, u.Hash, users, *found, found, file, basic, p, wrong, throttle, basicauth.Config{Users: users}, []basicauth.User{u}} {
			logger.Info("value", "v", v)
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			text, _ := json.Marshal(v) // what cannot be marshalled shows nothing
			out.Write(text)
		}
	}
	for _, secret := range []string{string(u.Hash), "$argon2id$", password, fmt.Sprintf("%x", password), fmt.Sprintf("%x", string(u.Hash))} {
		if at := strings.Index(out.String(), secret); at >= 0 {
			t.Errorf("%q is printed: …%.200s", secret, out.String()[max(0, at-100):])
		}
	}
	if !strings.Contains(out.String(), "REDACTED") {
		t.Error("nothing was redacted: does this test print anything?")
	}
}
