package apikey_test

import (
	"context"
	"errors"
	"testing"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// panicAfter commits, and then panics.
type panicAfter struct {
	apikey.Store
	armed bool
}

func (s *panicAfter) Update(ctx context.Context, k *apikey.Key) (int64, error) {
	revision, err := s.Store.Update(ctx, k)
	if s.armed {
		panic("after the commit")
	}
	return revision, err
}

func (s *panicAfter) Delete(ctx context.Context, id string) error {
	err := s.Store.Delete(ctx, id)
	if s.armed {
		panic("after the commit")
	}
	return err
}

// A store that panics once it has written leaves nobody a key that is gone.
func TestWhatAPanicCommittedIsInForce(t *testing.T) {
	for what, end := range map[string]func(*apikey.Keys, string) error{
		"Revoke": func(k *apikey.Keys, id string) error { return k.Revoke(context.Background(), id, "") },
		"Delete": func(k *apikey.Keys, id string) error { return k.Delete(context.Background(), id) },
	} {
		store := &panicAfter{Store: apikey.NewMemoryStore()}
		keys, err := apikey.New(apikey.Config{Store: store, Format: apikey.Format{Prefix: "test_"}})
		if err != nil {
			t.Fatal(err)
		}
		key, secret, err := keys.Issue(t.Context(), apikey.Draft{Account: "a"})
		if err != nil {
			t.Fatal(err)
		}
		verify := func() error {
			_, err := keys.Verify(t.Context(), keystile.Presented{Secret: secret, Scheme: keystile.SchemeAPIKey})
			return err
		}
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		store.armed = true
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s swallowed the panic", what)
				}
			}()
			_ = end(keys, key.ID)
		}()
		store.armed = false
		if err := verify(); err == nil {
			t.Errorf("%s: the key is still accepted", what)
		}
		if _, err := keys.Edit(t.Context(), key.ID, nil); !errors.Is(err, apikey.ErrInvalid) {
			t.Errorf("Edit without a function: %v", err)
		}
		if err := keys.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
