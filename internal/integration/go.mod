module github.com/keystile/keystile/internal/integration

go 1.25.0

require (
	github.com/dunglas/httpsfv v1.1.2
	github.com/keystile/keystile v0.0.0
)

replace github.com/keystile/keystile => ../..
