// Tools that check the code. No package of Keystile is in here, and no user of Keystile sees it.
//
// staticcheck v0.8.2 needs Go 1.26, the library only Go 1.25. That is why the tool has a module
// of its own, and why make runs it with GOTOOLCHAIN=auto: on Go 1.25 the go command then fetches
// Go 1.26 for this one tool, whatever the machine sets, and everything else runs on Go 1.25.
module github.com/keystile/keystile/tools

go 1.26.0

tool honnef.co/go/tools/cmd/staticcheck

require (
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)
