package layers_test

import "slices"

// Dependencies, as patterns. What is not listed here is refused until it has a row below.
var (
	gin       = []string{"github.com/gin-gonic/gin/..."}
	echo      = []string{"github.com/labstack/echo/..."}
	jwt       = []string{"github.com/golang-jwt/jwt/..."}
	redis     = []string{"github.com/redis/go-redis/..."}
	lru       = []string{"github.com/hashicorp/golang-lru/..."}
	xcrypto   = []string{"golang.org/x/crypto/..."}
	porcupine = []string{"github.com/anishathalye/porcupine/..."}
	drivers   = []string{"github.com/jackc/...", "github.com/lib/pq/...", "github.com/go-sql-driver/...", "github.com/mattn/go-sqlite3/...", "modernc.org/..."}
	servers   = []string{"github.com/alicebob/miniredis/...", "github.com/testcontainers/...", "github.com/ory/dockertest/..."}

	testingPackages = []string{"testing/...", "net/http/httptest"}
)

// rooms are the packages that stand beside each other on the root.
var rooms = []string{"apikey", "basicauth", "bearer", "envelope", "limiter", "webhook"}

// rules are the arrows of the design. Patterns are as for the go command: "." is the root package,
// "./x/..." is x and all below it, "std" any standard package, "other" any
// of another module, "own" what shares the importer's first two path elements (examples/gin).
var rules = append(roomRules(),
	rule{
		name:    "the root stands alone",
		of:      []string{"."},
		only:    []string{"std", "./internal/record"},
		because: "the root is the vocabulary that everything shares: whatever it imports, every user of every package gets, and no package below could use it without a cycle",
	},
	rule{
		name:    "the record stands alone",
		of:      []string{"./internal/record/..."},
		only:    []string{"std"},
		because: "the record is below the root: an import of ours would be a cycle to come, and one of another module would reach every user",
	},
	rule{
		name:    "JOSE stands below bearer",
		of:      []string{"./internal/jose"},
		only:    slices.Concat([]string{"std"}, jwt),
		because: "it verifies signatures and knows nothing of requests: so the corpora in internal/wycheproof reach the very code that bearer runs",
	},
	rule{
		name:    "JOSE for bearer",
		of:      []string{"./..."},
		except:  []string{"./bearer", "./internal/jose"},
		never:   []string{"./internal/jose"},
		because: "only bearer reads tokens: it takes an issuer's keys and demands besides a signature to trust one",
	},
	rule{
		name:    "adapters rest on the root",
		of:      []string{"./adapters/..."},
		only:    []string{"std", "other", ".", "./internal/record"},
		because: "an adapter carries any middleware of the shape func(http.Handler) http.Handler, so it needs to know none of them",
	},
	rule{
		name:    "gin in its adapter",
		of:      []string{"./..."},
		except:  []string{"./adapters/ginadapter/...", "./examples/..."},
		never:   gin,
		through: true,
		because: "the library is net/http: who does not use gin must not build it",
	},
	rule{
		name:    "echo in its adapters",
		of:      []string{"./..."},
		except:  []string{"./adapters/echoadapter/...", "./adapters/echo5adapter/...", "./examples/..."},
		never:   echo,
		through: true,
		because: "the library is net/http: who does not use echo must not build it",
	},
	rule{
		name:    "JWT in bearer",
		of:      []string{"./..."},
		except:  []string{"./bearer/...", "./internal/jose", "./examples/..."},
		never:   jwt,
		through: true,
		because: "only bearer reads tokens: who checks API keys must not build a JWT library, nor follow its advisories",
	},
	rule{
		name:    "Redis in the Redis stores",
		of:      []string{"./..."},
		except:  []string{"./apikey/rediskeys/...", "./limiter/redislimit/...", "./examples/..."},
		never:   redis,
		through: true,
		because: "a store is chosen by importing it: who keeps keys elsewhere must not build a Redis client",
	},
	rule{
		name:    "caches where they are needed",
		of:      []string{"./..."},
		except:  []string{"./apikey", "./apikey/internal/...", "./basicauth", "./basicauth/internal/...", "./bearer", "./bearer/internal/..."},
		never:   lru,
		because: "only the packages that remember a verified credential need an LRU cache; another cache is another bound on how long a revoked key lives",
	},
	rule{
		name:    "password hashes in basicauth",
		of:      []string{"./..."},
		except:  []string{"./basicauth/...", "./examples/..."},
		never:   xcrypto,
		because: "keys and tokens have enough entropy for a fast hash: only passwords need a slow one",
	},
	rule{
		name:    "history checker in conformance",
		of:      []string{"./..."},
		except:  []string{"./conformance/..."},
		never:   porcupine,
		through: true,
		because: "it explains a failed race to the author of a store and has no part in a service",
	},
	rule{
		name:    "database drivers nowhere",
		of:      []string{"./..."},
		except:  []string{"./examples/..."},
		never:   drivers,
		through: true,
		because: "stores speak database/sql: the driver is the user's choice, and tests with real ones are in the nested module internal/integration",
	},
	rule{
		name:    "testing in conformance",
		of:      []string{"./..."},
		except:  []string{"./conformance/...", "./internal/testservers/..."},
		never:   testingPackages,
		through: true,
		because: "a service must not link the test framework or get its flags; what tests need is small interfaces of our own, or conformance",
	},
	rule{
		name:    "examples are ends",
		of:      []string{"./..."},
		except:  []string{"./examples/..."},
		files:   codeAndTests,
		never:   []string{"./examples/..."},
		because: "examples are programs to copy from and change: whatever is imported from one belongs in a package",
	},
	rule{
		name:    "examples share in one place",
		of:      []string{"./examples/..."},
		files:   codeAndTests,
		ignore:  []string{"own", "./examples/internal/..."},
		never:   []string{"./examples/..."},
		because: "what several examples need lies in examples/internal, so that each program can be read by itself",
	},
	rule{
		name:    "test aids in tests",
		of:      []string{"./..."},
		except:  []string{"./internal/testservers/..."},
		never:   []string{"./internal/testservers/...", "./internal/evidence/...", "./internal/integration/..."},
		because: "these start servers and write files: only tests may",
	},
	rule{
		name:   "light tests",
		of:     []string{"./..."},
		except: []string{"./adapters/...", "./examples/...", "./internal/integration/...", "./internal/testservers/..."},
		files:  tests,
		never:  slices.Concat(gin, echo, jwt, redis, porcupine, drivers, servers),
		// A heavy thing that the package's own code needs is no news to its users.
		through: true,
		because: "go mod tidy reads the tests of the packages that a user imports, so the user's go.sum grows by what they import: tests across packages live in internal/integration, adapters and examples",
	},
	rule{
		name:    "dependencies are chosen",
		of:      []string{"./..."},
		except:  []string{"./examples/...", "./internal/testservers/..."},
		only:    slices.Concat([]string{"std", "./..."}, gin, echo, jwt, redis, lru, xcrypto, porcupine),
		because: "every dependency is one more that users get and must trust: give it a variable and a rule of its own in internal/layers/rules_test.go, and say in docs/decisions.md why it is worth it",
	},
)

// cellars are what a room has below it that others must not have.
var cellars = map[string][]string{"bearer": {"./internal/jose"}}

// roomRules say what each room, and what is below it, may import of ours.
func roomRules() []rule {
	var all []rule
	for _, room := range rooms {
		var others []string
		for _, other := range rooms {
			if other != room {
				others = append(others, "./"+other+"/...")
			}
		}
		all = append(all,
			rule{
				name:    room + " keeps to itself",
				of:      []string{"./" + room + "/..."},
				never:   others,
				through: true,
				because: "who takes one room must not get another: what two rooms share is an interface of the root, as TokenVerifier is for bearer and Throttle for basicauth",
			},
			rule{
				name:    room + " rests on the root",
				of:      []string{"./" + room},
				only:    slices.Concat([]string{"std", "other", ".", "./internal/record", "./" + room + "/internal/..."}, cellars[room]),
				ignore:  others, // the rule above judges them
				because: "arrows go down: what is below a room imports it, not the other way round, and of what is beside it, it knows nothing",
			},
			rule{
				name:    "what is below " + room + " rests on it",
				of:      []string{"./" + room + "/..."},
				except:  []string{"./" + room},
				only:    []string{"std", "other", "own", ".", "./internal/record", "./" + room, "./" + room + "/internal/..."},
				ignore:  others,
				because: "arrows go down: a store knows the room whose store it is, not the stores beside it",
			})
	}
	return all
}
