package basicauth_test

import (
	"context"
	"fmt"

	"github.com/keystile/keystile/basicauth"
)

// table stands for a table of a database.
type table map[string]basicauth.PasswordHash

func (t table) FindUser(ctx context.Context, name string) (*basicauth.User, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	hash, ok := t[name]
	if !ok {
		return nil, basicauth.ErrNotFound
	}
	return &basicauth.User{Name: name, Hash: hash, Account: "acme"}, nil
}
