// Package consumer holds no code. Its test builds a program in a module of its own that imports
// one package of the library, and looks at what that program gets besides.
package consumer
