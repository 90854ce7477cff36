package coding_test

import (
	"bytes"
	"fmt"
	"strings"

	"cdnlab/internal/coding"
	"cdnlab/internal/httpcache"
)

func Example() {
	body := []byte(strings.Repeat("<p>All work and no play</p>\n", 100))
	header := httpcache.MakeHeader("Content-Type", "text/html", "ETag", `"v1"`)

	var accept coding.Accept
	accept.Add("gzip, deflate, br, zstd") // each Accept-Encoding line
	c := accept.Best(coding.All)

	response := coding.Response{Status: 200, Header: header, Length: int64(len(body))}
	if why := response.Refuse(coding.MinSize); why != "" {
		fmt.Println("as it is:", why)
		return
	}
	pool, err := coding.NewPool(coding.Levels{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var out bytes.Buffer
	w := pool.NewWriter(c, &out)
	if _, err := w.Write(body); err != nil {
		w.Abort()
		return
	}
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Content-Encoding:", c)
	fmt.Println("Vary: Accept-Encoding")
	fmt.Println("ETag:", coding.TagFor(header.Get("ETag"), c))
	fmt.Println("smaller:", out.Len() < len(body)/10)

	ifNoneMatch := coding.AppendTagsOf(nil, `"v1~br"`, c)
	fmt.Printf("next time If-None-Match: %s\n", ifNoneMatch)
	// Output:
	// Content-Encoding: br
	// Vary: Accept-Encoding
	// ETag: "v1~br"
	// smaller: true
	// next time If-None-Match: "v1"
}
