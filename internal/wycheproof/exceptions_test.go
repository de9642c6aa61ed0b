package wycheproof

// exception is a case, or a run of them, in which the library disagrees with the
// corpus.
type exception struct {
	from, to int    // tcId
	clause   string // what it holds to instead
}

const (
	otherAlgorithm = "RFC 8725 section 3.1 and RFC 7517 section 4.4: the key is for another algorithm than the header says, or for one that does not exist"
	sameBytes      = "RFC 7515 section 5.2: byte for byte the token of 357, which is valid"
	notBase64      = "RFC 7515 section 2: base64url has no other characters, and the ? is another"
	shortKey       = "RFC 7518 section 3.2: a key of the size of the hash or larger must be used"
	shortTag       = "RFC 7518 section 3.2: the MAC is the whole output of the hash, and not the first half of it"
)

// exceptions are all of them, by file. A test fails for one that is missing here,
// and for one that is none any more.
var exceptions = map[string][]exception{
	"json_web_signature_test.json": {
		{346, 347, otherAlgorithm},
		{350, 351, otherAlgorithm},
		{367, 367, sameBytes},
		{370, 370, sameBytes},
		{372, 373, notBase64},
	},
	"hmac_sha256_test.json": macExceptions,
	"hmac_sha384_test.json": macExceptions,
	"hmac_sha512_test.json": macExceptions,
}

// macExceptions are those of the three files about HMAC, which are built alike.
var macExceptions = []exception{
	{82, 108, shortTag},
	{163, 165, shortKey},
	{166, 168, shortKey + "; " + shortTag},
	{172, 174, shortTag},
}

func isException(file string, id int) bool {
	for _, e := range exceptions[file] {
		if id >= e.from && id <= e.to && e.clause != "" {
			return true
		}
	}
	return false
}
