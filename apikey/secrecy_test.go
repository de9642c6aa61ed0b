package apikey_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// spellings are the ways in which a digest or a secret could be printed.
func spellings(what string, raw []byte) map[string]string {
	raw = raw[len(raw)-16:] // the beginning of a secret is in its hint
	var numbers []string
	for _, b := range raw[:8] {
		numbers = append(numbers, fmt.Sprint(b))
	}
	var goNumbers []string
	for _, b := range raw[:8] {
		goNumbers = append(goNumbers, fmt.Sprintf("%#x", b))
	}
	encoded, _ := json.Marshal(raw)
	return map[string]string{
		what + " as text":        string(raw),
		what + " in hex":         hex.EncodeToString(raw),
		what + " in HEX":         strings.ToUpper(hex.EncodeToString(raw)),
		what + " as numbers":     strings.Join(numbers, " "),
		what + " as JSON list":   strings.Join(numbers, ","),
		what + " in Go":          strings.Join(goNumbers, ", "),
		what + " in base64":      string(encoded[1:12]),
		what + " as quoted text": strings.Trim(fmt.Sprintf("%q", raw[:8]), `"`),
	}
}

// No way of printing anything that is exported shows a secret or a digest.
func TestNothingPrintsASecretOrADigest(t *testing.T) {
	store := apikey.NewMemoryStore()
	p := apikey.Pepper{Name: "2026", Key: "pepper-pepper-pepper-pepper-pepper"}
	config := apikey.Config{Store: store, Feed: store, Format: acme, Peppers: []apikey.Pepper{p}}
	keys := newKeys(t, config)
	k, secret := issue(t, keys, apikey.Draft{Name: "CI"})
	principal := must[*keystile.Principal](t)(keys.Verify(t.Context(), presented(secret)))
	fromPrincipal, _ := apikey.From(principal)
	head := must[apikey.Cursor](t)(store.Head(t.Context()))
	page := must[apikey.Page](t)(keys.List(t.Context(), apikey.Query{}))
	rotated, second, err := keys.Rotate(t.Context(), k.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	changes, next, err := store.Changes(t.Context(), head, 10)
	if err != nil {
		t.Fatal(err)
	}
	_, revokedErr := keys.Verify(t.Context(), presented(secret))
	_, unknownErr := keys.Verify(t.Context(), presented(generate(t, acme)))
	_, importErr := keys.Import(t.Context(), secret+"x", apikey.Key{})
	_, configErr := apikey.New(apikey.Config{Peppers: []apikey.Pepper{{Key: p.Key[:31]}}})
	verifierConfig := apikey.VerifierConfig{Finder: store, Formats: []apikey.Format{acme}, Peppers: []apikey.Pepper{p}}
	verifier := must[*apikey.Verifier](t)(apikey.NewVerifier(verifierConfig))
	wantVerdict(t, verifier, second, "")
	// Printing looks into fields that somebody at work would write to.
	for _, v := range []interface{ Close(context.Context) error }{keys, verifier} {
		if err := v.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	hidden := map[string]string{}
	for what, raw := range map[string][]byte{
		"the secret": []byte(secret), "the second secret": []byte(second), "the pepper": []byte(p.Key),
		"the digest": k.Secrets[0].Digest[:], "the second digest": rotated.Secrets[0].Digest[:],
	} {
		for name, spelling := range spellings(what, raw) {
			hidden[name] = spelling
		}
	}
	for name, v := range map[string]any{
		"Keys": keys, "Keys by value": *keys, "Verifier": verifier, "MemoryStore": store, "Key": k, "Key by value": *k, "Secret of a Key": k.Secrets[0], "list of Secrets": k.Secrets,
		"Digest": k.Secrets[0].Digest, "pointer to a Digest": &k.Secrets[0].Digest, "map of Digests": map[apikey.Digest]apikey.Digest{k.Secrets[0].Digest: k.Secrets[0].Digest},
		"Secret": secret, "Presented": presented(secret), "Pepper": p, "Config": config, "VerifierConfig": verifierConfig, "Page": page, "Change": changes[0], "list of Changes": changes,
		"feed Cursor": next, "Principal": principal, "Key of a Principal": fromPrincipal, "Authenticator": keys.From(apikey.Bearer()), "Place": apikey.Bearer(),
		"refusal": revokedErr, "unknown": unknownErr, "import": importErr, "config error": configErr, "rotated Key": rotated, "Query": apikey.Query{}, "Draft": apikey.Draft{}, "Use": apikey.Use{ID: k.ID}, "Format": acme,
		"what is hidden in a struct of somebody else's": struct {
			keys  *apikey.Keys
			store *apikey.MemoryStore
			v     *apikey.Verifier
			s     apikey.Store
			a     keystile.Authenticator
		}{keys, store, verifier, store, keys.From(apikey.Bearer())},
		"all in one": struct {
			K *apikey.Key
			S keystile.Secret
			D apikey.Digest
		}{k, secret, k.Secrets[0].Digest},
	} {
		for way, text := range printed(v) {
			for what, spelling := range hidden {
				if strings.Contains(text, spelling) {
					t.Errorf("%s through %s shows %s:\n%.300s", name, way, what, text)
				}
			}
		}
	}
}

// printed prints v in every way that comes to mind.
func printed(v any) map[string]string {
	ways := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "% x", "%T"} {
		ways["fmt "+verb] = fmt.Sprintf(verb, v)
	}
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).LogAttrs(context.Background(), slog.LevelInfo, "x", slog.Any("v", v))
	slog.New(slog.NewJSONHandler(&js, nil)).LogAttrs(context.Background(), slog.LevelInfo, "x", slog.Any("v", v))
	ways["slog text"], ways["slog JSON"] = text.String(), js.String()
	if b, err := json.Marshal(v); err == nil {
		ways["JSON"] = string(b)
	}
	if err, ok := v.(error); ok {
		for e := err; e != nil; e = errors.Unwrap(e) {
			ways["error "+e.Error()] = fmt.Sprintf("%+v", e)
		}
	}
	return ways
}

// What a running service logs shows none either, whatever goes wrong.
func TestTheLogShowsNoSecretOrDigest(t *testing.T) {
	store := spyOn(apikey.NewMemoryStore())
	var log strings.Builder
	keys := newKeys(t, apikey.Config{Store: store, Logger: textLogger(&log)})
	k, secret := issue(t, keys, apikey.Draft{})
	store.set(func() {
		store.after = func(_ context.Context, k *apikey.Key) (*apikey.Key, error) {
			k.Secrets[0].Digest[0] ^= 1
			return k, nil
		}
	})
	_, err := keys.Verify(t.Context(), presented(secret))
	all := log.String() + fmt.Sprintf("%+v", err)
	if !strings.Contains(all, "corrupt record") || !strings.Contains(all, k.ID) {
		t.Fatalf("the log does not tell of the record: %s", all)
	}
	for what, spelling := range spellings("the digest", k.Secrets[0].Digest[:]) {
		if strings.Contains(all, spelling) || strings.Contains(all, string(secret)) {
			t.Errorf("the log shows %s or the secret: %s", what, all)
		}
	}
}

// The store holds no secret, in no spelling.
func TestTheStoreHoldsNoSecret(t *testing.T) {
	store := &recordingStore{Store: apikey.NewMemoryStore()}
	keys := newKeys(t, apikey.Config{Store: store})
	k, first := issue(t, keys, apikey.Draft{})
	_, second, err := keys.Rotate(t.Context(), k.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	third := generate(t, acme)
	if _, err := keys.Import(t.Context(), third, apikey.Key{}); err != nil {
		t.Fatal(err)
	}
	if len(store.written) != 3 {
		t.Fatalf("%d writes", len(store.written))
	}
	for _, written := range store.written {
		for _, secret := range []keystile.Secret{first, second, third} {
			for what, spelling := range spellings("the secret", []byte(secret)) {
				if strings.Contains(written, spelling) {
					t.Errorf("the store was given %s", what)
				}
			}
		}
	}
}

// recordingStore keeps what it is given, with the digests in hex.
type recordingStore struct {
	apikey.Store
	written []string
}

func (s *recordingStore) record(k *apikey.Key) {
	text := fmt.Sprintf("%+v", *k)
	for _, secret := range k.Secrets {
		text += secret.Digest.Hex()
	}
	s.written = append(s.written, text)
}

func (s *recordingStore) Create(ctx context.Context, k *apikey.Key) (int64, error) {
	s.record(k)
	return s.Store.Create(ctx, k)
}

func (s *recordingStore) Update(ctx context.Context, k *apikey.Key) (int64, error) {
	s.record(k)
	return s.Store.Update(ctx, k)
}
