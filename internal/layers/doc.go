// Package layers holds no code. Its test reads the imports of the whole module and fails when one
// points up, or brings a dependency where its users would not expect one. The rules are a table
// in rules_test.go, each with its reason.
package layers
