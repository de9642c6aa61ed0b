package keystile_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/keystile/keystile"
)

func TestScopesHas(t *testing.T) {
	tests := []struct {
		granted  []string
		required string
		want     bool
	}{
		{[]string{"contacts:read"}, "contacts:read", true},
		{[]string{"Read Bots"}, "Read Bots", true},
		{[]string{"Read Bots"}, "Read", false},
		{[]string{"contacts:read"}, "contacts:write", false},
		{[]string{"contacts:read"}, "Contacts:read", false},
		{[]string{"contacts:*"}, "contacts:read", true},
		{[]string{"contacts:*"}, "contacts:read:own", true},
		{[]string{"contacts:*"}, "contacts", false},
		{[]string{"contacts:*"}, "contactsx:read", false},
		{[]string{"con*"}, "contacts", false},
		{[]string{"*"}, "anything at all", true},
		{[]string{"*"}, "", false},
		{nil, "x", false},
		{[]string{""}, "", false},
	}
	for _, tt := range tests {
		if got := keystile.NewScopes(tt.granted...).Has(tt.required); got != tt.want {
			t.Errorf("%q grants %q: %v, want %v", tt.granted, tt.required, got, tt.want)
		}
	}
}

func TestScopesCovers(t *testing.T) {
	tests := []struct {
		mine, other []string
		want        bool
	}{
		{[]string{"a", "b"}, []string{"b"}, true},
		{[]string{"a"}, []string{"a", "b"}, false},
		{[]string{"a:*"}, []string{"a:x", "a:*", "a:b:*"}, true},
		{[]string{"a:b:*"}, []string{"a:*"}, false},
		{[]string{"a:x"}, []string{"a:*"}, false},
		{[]string{"*"}, []string{"*", "a:*"}, true},
		{[]string{"a:*"}, []string{"*"}, false},
		{nil, nil, true},
		{nil, []string{"a"}, false},
	}
	for _, tt := range tests {
		if got := keystile.NewScopes(tt.mine...).Covers(keystile.NewScopes(tt.other...)); got != tt.want {
			t.Errorf("%q covers %q: %v, want %v", tt.mine, tt.other, got, tt.want)
		}
	}
}

func TestScopesAreImmutable(t *testing.T) {
	given := []string{"b", "", "a", "b"}
	s := keystile.NewScopes(given...)
	given[0] = "x"
	all := s.All()
	if !slices.Equal(all, []string{"b", "a"}) {
		t.Fatalf("All %q", all)
	}
	all[0] = "y"
	if !s.Has("b") || s.Has("x") || s.Has("y") {
		t.Error("the set changed from outside")
	}
	text, err := json.Marshal([]any{s, keystile.Scopes{}})
	if err != nil || string(text) != `[["b","a"],[]]` || fmt.Sprint(s) != "b, a" {
		t.Errorf("%s, %v, %v", text, err, s)
	}
}
