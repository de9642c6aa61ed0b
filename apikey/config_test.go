package apikey_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keystile/keystile"
	"github.com/keystile/keystile/apikey"
)

// configErrors are all mistakes that err holds.
func configErrors(t testing.TB, err error) (all []*keystile.ConfigError) {
	t.Helper()
	if err == nil {
		return nil
	}
	var one *keystile.ConfigError
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			all = append(all, configErrors(t, e)...)
		}
	} else if errors.As(err, &one) {
		all = append(all, one)
	} else {
		t.Errorf("%v is no *keystile.ConfigError", err)
	}
	return all
}

func TestEachMistakeNamesItsFieldAndItsRemedy(t *testing.T) {
	longKey := keystile.Secret(strings.Repeat("k", 32))
	store := apikey.NewMemoryStore()
	for _, tt := range []struct {
		name          string
		change        func(*apikey.Config)
		field, remedy string
	}{
		{"no store", func(c *apikey.Config) { c.Store = nil }, "Config.Store", "NewMemoryStore"},
		{"no prefix", func(c *apikey.Config) { c.Format = apikey.Format{} }, "Config.Format.Prefix", "acme_"},
		{"a prefix with a dot", func(c *apikey.Config) { c.Format.Prefix = "acme.v1_" }, "Config.Format.Prefix", "JWT"},
		{"a prefix with a space", func(c *apikey.Config) { c.Format.Prefix = "acme _" }, "Config.Format.Prefix", "use a prefix such as"},
		{"a prefix without an end", func(c *apikey.Config) { c.Format.Prefix = "acme" }, "Config.Format.Prefix", `use "acme_"`},
		{"a prefix without end", func(c *apikey.Config) { c.Format.Prefix = strings.Repeat("a", 99) + "_" }, "Config.Format.Prefix", "short"},
		{"an alphabet that does not exist", func(c *apikey.Config) { c.Format.Alphabet = 9 }, "Config.Format.Alphabet", "Base62"},
		{"a checksum that does not exist", func(c *apikey.Config) { c.Format.Checksum = 9 }, "Config.Format.Checksum", "CRC32"},
		{"too few bits", func(c *apikey.Config) { c.Format.Length = 21 }, "Config.Format.Length", "use 22"},
		{"too few bits in hex", func(c *apikey.Config) { c.Format.Alphabet, c.Format.Length = apikey.Hex, 31 }, "Config.Format.Length", "use 32"},
		{"a negative length", func(c *apikey.Config) { c.Format.Length = -1 }, "Config.Format.Length", "use 22"},
		{"a length without end", func(c *apikey.Config) { c.Format.Length = 257 }, "Config.Format.Length", "256"},
		{"a hint that shows too much", func(c *apikey.Config) { c.Format.Shown = 14 }, "Config.Format.Shown", "at most 13"},
		{"a hint that shows less than nothing", func(c *apikey.Config) { c.Format.Shown = -2 }, "Config.Format.Shown", "ShowNothing"},
		{"a lax format for new keys", func(c *apikey.Config) { c.Format = apikey.LaxFormat("a_", 40, 40) }, "Config.Format", "Accept"},
		{"a mistake in an accepted format", func(c *apikey.Config) { c.Accept = []apikey.Format{acme, {Prefix: "x"}} }, "Config.Accept[1].Prefix", "x_"},
		{"a lax format that is too short", func(c *apikey.Config) { c.Accept = []apikey.Format{apikey.LaxFormat("whm_", 19, 36)} }, "Config.Accept[0] of LaxFormat", "at least 20"},
		{"a lax format that is too long", func(c *apikey.Config) { c.Accept = []apikey.Format{apikey.LaxFormat("", 20, 513)} }, "Config.Accept[0] of LaxFormat", "512"},
		{"a lax format the wrong way round", func(c *apikey.Config) { c.Accept = []apikey.Format{apikey.LaxFormat("", 40, 30)} }, "Config.Accept[0] of LaxFormat", "at least"},
		{"a lax prefix with a dot", func(c *apikey.Config) { c.Accept = []apikey.Format{apikey.LaxFormat("a.", 40, 40)} }, "Config.Accept[0].Prefix", "JWT"},
		{"a lax hint that shows too much", func(c *apikey.Config) {
			f := apikey.LaxFormat("a", 40, 40)
			f.Shown = 9
			c.Accept = []apikey.Format{f}
		}, "Config.Accept[0].Shown", "at most 8"},
		{"a pepper without a name", func(c *apikey.Config) { c.Peppers = []apikey.Pepper{{Key: longKey}} }, "Config.Peppers[0].Name", "2026-01"},
		{"a pepper that is too short", func(c *apikey.Config) { c.Peppers = []apikey.Pepper{{Name: "p", Key: longKey[1:]}} }, "Config.Peppers[0].Key", "32 random"},
		{"two peppers of one name", func(c *apikey.Config) {
			c.Peppers = []apikey.Pepper{{Name: "p", Key: longKey}, {Name: "p", Key: longKey}}
		}, "Config.Peppers[1].Name", "name of its own"},
		{"a negative DefaultTTL", func(c *apikey.Config) { c.DefaultTTL = -1 }, "Config.DefaultTTL", "positive"},
		{"a negative MaxTTL", func(c *apikey.Config) { c.MaxTTL = -1 }, "Config.MaxTTL", "positive"},
		{"a DefaultTTL beyond MaxTTL", func(c *apikey.Config) { c.DefaultTTL, c.MaxTTL = 2, 1 }, "Config.DefaultTTL", "MaxTTL"},
		{"a negative TTL", func(c *apikey.Config) { c.Cache.TTL = -1 }, "Config.Cache.TTL", "positive"},
		{"a negative MissTTL", func(c *apikey.Config) { c.Cache.MissTTL = -1 }, "Config.Cache.MissTTL", "positive"},
		{"misses that outlive hits", func(c *apikey.Config) { c.Cache.MissTTL = time.Minute }, "Config.Cache.MissTTL", "at most 30s"},
		{"a negative ReadTimeout", func(c *apikey.Config) { c.Cache.ReadTimeout = -1 }, "Config.Cache.ReadTimeout", "positive"},
		{"a negative Size", func(c *apikey.Config) { c.Cache.Size = -1 }, "Config.Cache.Size", "number of keys"},
		{"a negative MissSize", func(c *apikey.Config) { c.Cache.MissSize = -1 }, "Config.Cache.MissSize", "0 for the default"},
		{"a short Interval", func(c *apikey.Config) { c.Sync.Interval = time.Millisecond }, "Config.Sync.Interval", "at least 10ms"},
		{"a negative Interval", func(c *apikey.Config) { c.Sync.Interval = -1 }, "Config.Sync.Interval", "at least 10ms"},
		{"a StaleFor that is shorter than Interval", func(c *apikey.Config) { c.Sync.StaleFor = time.Second - 1 }, "Config.Sync.StaleFor", "at least 1s"},
		{"a negative TouchInterval", func(c *apikey.Config) { c.Sync.TouchInterval = -1 }, "Config.Sync.TouchInterval", "positive"},
		{"a Wake without a Feed", func(c *apikey.Config) { c.Sync.Wake = make(chan struct{}) }, "Config.Sync.Wake", "Feed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := apikey.Config{Store: store, Format: acme}
			tt.change(&c)
			keys, err := apikey.New(c)
			if keys != nil {
				t.Error("New returns Keys all the same")
			}
			all := configErrors(t, err)
			if len(all) != 1 || all[0].Field != "apikey."+tt.field || !strings.Contains(all[0].Reason, tt.remedy) {
				t.Errorf("got %v, want one mistake in %s that says %q", err, tt.field, tt.remedy)
			}
			if err != nil && strings.Contains(err.Error(), "kkkk") {
				t.Error("the error shows a pepper")
			}
		})
	}
}

func TestNewReturnsAllMistakesAtOnce(t *testing.T) {
	_, err := apikey.New(apikey.Config{
		Format: apikey.Format{Prefix: "a.b", Length: 1}, Accept: []apikey.Format{{}}, Peppers: []apikey.Pepper{{}},
		DefaultTTL: -1, MaxTTL: -1, Cache: apikey.Cache{TTL: -1, Size: -1}, Sync: apikey.Sync{Interval: -1, TouchInterval: -1, Wake: make(chan struct{})},
	})
	var fields []string
	for _, e := range configErrors(t, err) {
		fields = append(fields, strings.TrimPrefix(e.Field, "apikey.Config."))
	}
	want := []string{"Store", "Format.Prefix", "Format.Length", "Accept[0].Prefix", "Peppers[0].Name", "Peppers[0].Key", "DefaultTTL", "MaxTTL",
		"Cache.TTL", "Cache.Size", "Sync.TouchInterval", "Sync.Interval", "Sync.Wake"}
	if !reflect.DeepEqual(fields, want) {
		t.Errorf("mistakes in %v, want %v", fields, want)
	}
}

func TestNewVerifierReturnsAllMistakesAtOnce(t *testing.T) {
	_, err := apikey.NewVerifier(apikey.VerifierConfig{Cache: apikey.Cache{TTL: -1}})
	var fields []string
	for _, e := range configErrors(t, err) {
		fields = append(fields, e.Field)
	}
	if want := []string{"apikey.VerifierConfig.Finder", "apikey.VerifierConfig.Formats", "apikey.VerifierConfig.Cache.TTL"}; !reflect.DeepEqual(fields, want) {
		t.Errorf("mistakes in %v, want %v", fields, want)
	}
}

func TestAConfigOfDefaultsWorks(t *testing.T) {
	keys := newKeys(t, apikey.Config{})
	_, secret := issue(t, keys, apikey.Draft{})
	wantVerdict(t, keys, secret, "")
	if keys.Bound() != 30*time.Second {
		t.Errorf("Bound is %v without a Feed, want the TTL of 30s", keys.Bound())
	}
	store := apikey.NewMemoryStore()
	keys = newKeys(t, apikey.Config{Store: store, Feed: store})
	if keys.Bound() != time.Second {
		t.Errorf("Bound is %v with a Feed, want 1s", keys.Bound())
	}
}

func TestAConfigIsCopied(t *testing.T) {
	accept := []apikey.Format{apikey.LaxFormat("old_", 36, 36)}
	keys := newKeys(t, apikey.Config{Accept: accept})
	accept[0] = acme
	if _, err := keys.Import(t.Context(), "old_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", apikey.Key{ID: "k"}); err != nil {
		t.Error(err)
	}
}
