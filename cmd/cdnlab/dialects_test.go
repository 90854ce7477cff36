package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestEveryDocumentedPurgeIsProven runs the requests of docs/purging.md as they stand there, but for the admin port: before each an edge has the
// object, after it the edge does not, or has to ask whether it is still good.
func TestEveryDocumentedPurgeIsProven(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a lab")
	}
	data, err := os.ReadFile("../../docs/purging.md")
	if err != nil {
		t.Fatal(err)
	}
	var script, files strings.Builder
	script.WriteString(`[!exec:curl] skip 'curl is not installed'
exec cdnlab up --preset tiny --http-port=$HTTP --dns-port=$DNS --admin-port=$ADMIN --gateway-port=$GATEWAY &lab&
ready .cdnlab
exec cdnlab put hello.txt /hello.txt --header 'Surrogate-Key: product-7 all' --header 'Cache-Control: max-age=600'
exec cdnlab purge --all
`)
	n := 0
	for line := range strings.Lines(string(data)) {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		only, proof := "", "MISS"
		if strings.Contains(command, " aws ") {
			only = "[exec:aws] "
		}
		if strings.Contains(command, "Soft-Purge") {
			proof = "REVALIDATED"
		}
		n++
		fmt.Fprintf(&files, "-- purge-%d.sh --\n%s", n, strings.ReplaceAll(strings.Replace(command, "curl ", "curl -sS --fail-with-body ", 1), "127.0.0.1:7070", "127.0.0.1:$ADMIN"))
		fmt.Fprintf(&script, "eventually sh get.sh HIT\n%sexec sh purge-%d.sh\n%sexec sh get.sh %s\n", only, n, only, proof)
	}
	if n < 12 {
		t.Errorf("%d requests were found, want those of four dialects", n)
	}
	script.WriteString("[exec:aws] exec sh wait.sh\nkill -INT lab\nwait lab\n")
	text := script.String() + files.String() + `-- get.sh --
curl -sS -i -x http://paris:@127.0.0.1:$GATEWAY http://www.cdn.test/hello.txt | grep "^X-Cache: $1,"
-- wait.sh --
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=$(cat .cdnlab/token) AWS_DEFAULT_REGION=us-east-1
aws --endpoint-url http://127.0.0.1:$ADMIN cloudfront wait invalidation-completed --distribution-id www.cdn.test --id I0000000000001
-- hello.txt --
hello
`
	file := filepath.Join(t.TempDir(), "purges.txtar")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	params := scriptParams(t)
	params.Files = []string{file}
	testscript.Run(t, params)
}
