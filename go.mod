module github.com/keystile/keystile

go 1.25.0
