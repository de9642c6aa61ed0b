package apikey_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile/apikey"
)

// ids walks through all pages and returns the IDs in their order.
func ids(t testing.TB, s apikey.Store, q apikey.Query, between func(page int)) []string {
	t.Helper()
	var all []string
	for page := 0; ; page++ {
		p, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("page %d: %v", page, err)
		}
		for _, k := range p.Keys {
			all = append(all, k.ID)
		}
		if p.Next == "" {
			return all
		}
		if page > 10_000 {
			t.Fatal("the list does not end")
		}
		q.Cursor = p.Next
		if between != nil {
			between(page)
		}
	}
}

// listed is a key as the list tests need it.
func listed(id, account string, created time.Duration) *apikey.Key {
	k := &apikey.Key{ID: id, Account: account, CreatedAt: noon.Add(created)}
	var d apikey.Digest
	copy(d[:], id)
	d[31] = 1
	k.Secrets = []apikey.Secret{{Digest: d}}
	return k
}

func TestTheListIsOrderedByAgeAndThenByID(t *testing.T) {
	s := apikey.NewMemoryStore()
	for _, k := range []*apikey.Key{listed("old", "a", 0), listed("b", "a", 2), listed("new", "b", 3), listed("a", "b", 2), listed("c", "a", 2), listed("older", "a", -1)} {
		create(t, s, k)
	}
	for _, tt := range []struct {
		account string
		want    []string
	}{
		{"", []string{"new", "a", "b", "c", "old", "older"}},
		{"a", []string{"b", "c", "old", "older"}},
		{"b", []string{"new", "a"}},
		{"nobody", nil},
	} {
		for limit := range 8 {
			if got := ids(t, s, apikey.Query{Account: tt.account, Limit: limit}, nil); !slices.Equal(got, tt.want) {
				t.Errorf("account %q in pages of %d: %v, want %v", tt.account, limit, got, tt.want)
			}
		}
	}
}

func TestTheLimitOfAPage(t *testing.T) {
	s := apikey.NewMemoryStore()
	for i := range apikey.MaxLimit + 1 {
		create(t, s, listed(fmt.Sprint("k", i), "a", time.Duration(i)))
	}
	for _, tt := range []struct {
		limit, keys int
		more        bool
		err         error
	}{
		{limit: 0, keys: apikey.DefaultLimit, more: true},
		{limit: 1, keys: 1, more: true},
		{limit: apikey.MaxLimit, keys: apikey.MaxLimit, more: true},
		{limit: -1, err: apikey.ErrInvalidQuery},
		{limit: apikey.MaxLimit + 1, err: apikey.ErrInvalidQuery},
	} {
		p, err := s.List(t.Context(), apikey.Query{Limit: tt.limit})
		wantErr(t, fmt.Sprint("limit ", tt.limit), err, tt.err)
		if len(p.Keys) != tt.keys || (p.Next != "") != tt.more {
			t.Errorf("limit %d: %d keys, next %q", tt.limit, len(p.Keys), p.Next)
		}
	}
	if err := s.Delete(t.Context(), "k0"); err != nil {
		t.Fatal(err)
	}
	if p, err := s.List(t.Context(), apikey.Query{Limit: apikey.MaxLimit}); err != nil || len(p.Keys) != apikey.MaxLimit || p.Next != "" {
		t.Errorf("a page that holds exactly all: %d keys, next %q, %v", len(p.Keys), p.Next, err)
	}
}

func TestFilters(t *testing.T) {
	s := apikey.NewMemoryStore()
	set := func(id string, change func(*apikey.Key)) {
		k := listed(id, "acct", 0)
		change(k)
		create(t, s, k)
	}
	set("active", func(*apikey.Key) {})
	set("prefix", func(k *apikey.Key) { k.Account = "acct2"; k.Owner = "alice2" })
	set("alice", func(k *apikey.Key) { k.Owner = "alice" })
	set("soon", func(k *apikey.Key) { k.ExpiresAt = noon.Add(time.Minute) })
	set("expired", func(k *apikey.Key) { k.ExpiresAt = noon })
	set("disabled", func(k *apikey.Key) { k.DisabledAt = noon.Add(time.Hour) })
	set("revoked", func(k *apikey.Key) { k.RevokedAt = noon.Add(time.Hour); k.DisabledAt, k.ExpiresAt = noon, noon })
	for _, tt := range []struct {
		name string
		q    apikey.Query
		want []string
	}{
		{"an account exactly", apikey.Query{Account: "acct2"}, []string{"prefix"}},
		{"never by its prefix", apikey.Query{Account: "acc"}, nil},
		{"an owner exactly", apikey.Query{Owner: "alice"}, []string{"alice"}},
		{"an owner of another account", apikey.Query{Account: "acct2", Owner: "alice"}, nil},
		{"active ones", apikey.Query{State: apikey.StateActive, At: noon}, []string{"active", "alice", "prefix", "soon"}},
		{"active ones a minute later: expiry counts at the very instant", apikey.Query{State: apikey.StateActive, At: noon.Add(time.Minute)}, []string{"active", "alice", "prefix"}},
		{"and not before", apikey.Query{State: apikey.StateActive, At: noon.Add(time.Minute - 1)}, []string{"active", "alice", "prefix", "soon"}},
		{"disabled ones", apikey.Query{State: apikey.StateDisabled, At: noon}, []string{"disabled"}},
		{"expired ones", apikey.Query{State: apikey.StateExpired, At: noon}, []string{"expired"}},
		{"revoked ones", apikey.Query{State: apikey.StateRevoked, At: noon}, []string{"revoked"}},
		{"those that expire before an instant, which is not included", apikey.Query{ExpiresBefore: noon.Add(time.Minute)}, []string{"expired", "revoked"}},
		{"and after it", apikey.Query{ExpiresBefore: noon.Add(time.Minute + 1)}, []string{"expired", "revoked", "soon"}},
		{"without an instant the clock of the store counts", apikey.Query{State: apikey.StateExpired, Account: "acct"}, []string{"expired", "soon"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, limit := range []int{0, 1} {
				tt.q.Limit = limit
				if got := ids(t, s, tt.q, nil); !slices.Equal(got, tt.want) {
					t.Errorf("limit %d: %v, want %v", limit, got, tt.want)
				}
			}
		})
	}
	_, err := s.List(t.Context(), apikey.Query{State: "gone"})
	wantErr(t, "a state that does not exist", err, apikey.ErrInvalidQuery)
}

// Pages are walked while keys come and go. Those that exist all the while are
// seen exactly once.
func TestPagesSkipAndRepeatNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		s := apikey.NewMemoryStore()
		var lasting []string
		fleeting := map[string]bool{}
		n := 0
		add := func(forEver bool) {
			id := fmt.Sprintf("%03d", n)
			n++
			create(t, s, listed(id, "a", time.Duration(random.IntN(20))))
			if forEver {
				lasting = append(lasting, id)
			} else {
				fleeting[id] = true
			}
		}
		for range 30 {
			add(random.IntN(2) == 0)
		}
		limit := 1 + random.IntN(5)
		seen := ids(t, s, apikey.Query{Account: "a", Limit: limit}, func(int) {
			for id := range fleeting {
				if random.IntN(4) == 0 {
					if err := s.Delete(t.Context(), id); err != nil {
						t.Fatal(err)
					}
					delete(fleeting, id)
				}
			}
			if n < 60 {
				add(false)
			}
		})
		counts := map[string]int{}
		for _, id := range seen {
			if counts[id]++; counts[id] > 1 {
				t.Fatalf("round %d: %s is listed twice in %v", round, id, seen)
			}
		}
		for _, id := range lasting {
			if counts[id] != 1 {
				t.Fatalf("round %d: %s is listed %d times in %v", round, id, counts[id], seen)
			}
		}
	}
}

func TestAPageGoesOnWhereItsLastKeyWas(t *testing.T) {
	s := apikey.NewMemoryStore()
	for _, id := range []string{"a", "b", "c", "d"} {
		create(t, s, listed(id, "acct", 0))
	}
	p := must[apikey.Page](t)(s.List(t.Context(), apikey.Query{Limit: 2}))
	for _, id := range []string{"a", "b"} { // b is where the cursor stands
		if err := s.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	create(t, s, listed("b2", "acct", 0)) // behind the cursor
	create(t, s, listed("aa", "acct", 0)) // before it
	if got := ids(t, s, apikey.Query{Limit: 2, Cursor: p.Next}, nil); !slices.Equal(got, []string{"b2", "c", "d"}) {
		t.Errorf("the rest is %v", got)
	}
}

func TestACursorIsGoodForItsQueryOnly(t *testing.T) {
	s, other := apikey.NewMemoryStore(), apikey.NewMemoryStore()
	for _, account := range []string{"a", "ab", "b"} {
		for i := range 3 {
			k := listed(fmt.Sprint(account, i), account, time.Duration(i))
			k.Owner = "bc"
			create(t, s, k)
			create(t, other, k)
		}
	}
	q := apikey.Query{Account: "a", Owner: "bc", Limit: 1}
	next := must[apikey.Page](t)(s.List(t.Context(), q)).Next
	raw, err := base64.RawURLEncoding.DecodeString(string(next))
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(raw)
	flipped[len(flipped)-1] ^= 1
	encode := func(b []byte) apikey.Cursor { return apikey.Cursor(base64.RawURLEncoding.EncodeToString(b)) }
	for _, tt := range []struct {
		name string
		q    apikey.Query
	}{
		{"another account", apikey.Query{Account: "b", Owner: "bc", Cursor: next}},
		{"every account", apikey.Query{Owner: "bc", Cursor: next}},
		{"an account and an owner that are spelled alike together", apikey.Query{Account: "ab", Owner: "c", Cursor: next}},
		{"every owner", apikey.Query{Account: "a", Cursor: next}},
		{"a state", apikey.Query{Account: "a", Owner: "bc", State: apikey.StateActive, Cursor: next}},
		{"an expiry", apikey.Query{Account: "a", Owner: "bc", ExpiresBefore: noon, Cursor: next}},
		{"garbage", apikey.Query{Account: "a", Owner: "bc", Cursor: "garbage"}},
		{"what is no base64", apikey.Query{Account: "a", Owner: "bc", Cursor: "%"}},
		{"a line end in it", apikey.Query{Account: "a", Owner: "bc", Cursor: next[:4] + "\n" + next[4:]}},
		{"half of it", apikey.Query{Account: "a", Owner: "bc", Cursor: next[:len(next)/2]}},
		{"one byte more", apikey.Query{Account: "a", Owner: "bc", Cursor: encode(append(slices.Clone(raw), 'x'))}},
		{"another position", apikey.Query{Account: "a", Owner: "bc", Cursor: encode(flipped)}},
		{"a cursor of the feed", apikey.Query{Account: "a", Owner: "bc", Cursor: must[apikey.Cursor](t)(s.Head(t.Context()))}},
		{"a very long one", apikey.Query{Account: "a", Owner: "bc", Cursor: apikey.Cursor(strings.Repeat("A", 1<<20))}},
	} {
		p, err := s.List(t.Context(), tt.q)
		wantErr(t, tt.name, err, apikey.ErrInvalidQuery)
		if len(p.Keys) != 0 || p.Next != "" {
			t.Errorf("%s: leaks %v", tt.name, p)
		}
	}
	_, err = other.List(t.Context(), apikey.Query{Account: "a", Owner: "bc", Cursor: next})
	wantErr(t, "a cursor of another store", err, apikey.ErrInvalidQuery)
	q.Cursor, q.Limit = next, 2
	if p := must[apikey.Page](t)(s.List(t.Context(), q)); len(p.Keys) != 2 || p.Next != "" {
		t.Errorf("its own query, with another limit: %v", p)
	}
}

// No cursor but those that the store made opens anything.
func FuzzListCursor(f *testing.F) {
	s := apikey.NewMemoryStore()
	for i := range 3 {
		k := listed(fmt.Sprint("k", i), "a", time.Duration(i))
		if _, err := s.Create(f.Context(), k); err != nil {
			f.Fatal(err)
		}
	}
	made := map[apikey.Cursor]bool{"": true}
	q := apikey.Query{Account: "a", Limit: 1}
	for {
		p, err := s.List(f.Context(), q)
		if err != nil {
			f.Fatal(err)
		}
		if p.Next == "" {
			break
		}
		q.Cursor, made[p.Next] = p.Next, true
		f.Add(string(p.Next))
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		p, err := s.List(t.Context(), apikey.Query{Account: "a", Limit: 1, Cursor: apikey.Cursor(cursor)})
		if made[apikey.Cursor(cursor)] {
			return
		}
		wantErr(t, "a made-up cursor", err, apikey.ErrInvalidQuery)
		if len(p.Keys) != 0 || strings.Contains(err.Error(), cursor) && len(cursor) > 3 {
			t.Errorf("leaks %v, %v", p.Keys, err)
		}
	})
}

// No cursor but those that the store made reads anything of the feed.
func FuzzFeedCursor(f *testing.F) {
	s := apikey.NewMemoryStore()
	head, err := s.Head(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	epoch, _, _ := strings.Cut(string(head), ".")
	for i := range 3 {
		if _, err := s.Create(f.Context(), listed(fmt.Sprint("k", i), "a", 0)); err != nil {
			f.Fatal(err)
		}
	}
	for _, number := range []string{"0", "3", "4", "-1", "03", "+3", "1e0", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "", "3.3", "3 "} {
		f.Add("its epoch", number)
		f.Add("", number)
		f.Add("another epoch", number)
	}
	f.Fuzz(func(t *testing.T, e, number string) {
		if e == "its epoch" { // differs from run to run
			e = epoch
		}
		changes, next, err := s.Changes(t.Context(), apikey.Cursor(e+"."+number), 10)
		if e == epoch && slices.Contains([]string{"0", "1", "2", "3"}, number) {
			if err != nil || !strings.HasPrefix(string(next), epoch) {
				t.Errorf("a good cursor: %v", err)
			}
			return
		}
		wantErr(t, "a made-up cursor", err, apikey.ErrCursorLost)
		if len(changes) != 0 || next != "" {
			t.Errorf("leaks %v, %q", changes, next)
		}
	})
}
