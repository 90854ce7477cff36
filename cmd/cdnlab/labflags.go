package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"cdnlab/internal/lab"
)

// labFlags are the flags of the commands that run nodes.
type labFlags struct {
	options   lab.Options
	accessLog string
}

func (l *labFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&l.options.NoNetem, "no-netem", false, "no latency, bandwidth or loss: full speed")
	f.Uint16Var(&l.options.HTTPPort, "http-port", 8080, "HTTP `port` of every node")
	f.Uint16Var(&l.options.DNSPort, "dns-port", 8053, "DNS `port`")
	f.Uint16Var(&l.options.AdminPort, "admin-port", 7070, "admin API `port`")
	f.Uint16Var(&l.options.GatewayPort, "gateway-port", 3128, "`port` of the gateways")
	f.StringVar(&l.options.KeyDir, "keys", "", "`directory` of the lab's keys, the files secret and token, made there when they are missing (default: the data directory)")
	f.StringVar(&l.options.GeoIP, "geoip", "", "City database `file` (GeoLite2 or DB-IP, mmdb) for addresses that the topology does not know")
	f.StringVar(&l.accessLog, "access-log", "", "append one line per request to `file`; - is standard error")
}

// open completes the options. The caller closes what it returns when the nodes have stopped.
func (l *labFlags) open(a *app) (lab.Options, io.Closer, error) {
	options := l.options
	options.DataDir, options.Log = a.dataDir, a.logger()
	switch l.accessLog {
	case "":
	case "-":
		options.AccessLog = a.stderr
	default:
		f, err := os.OpenFile(l.accessLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return options, nil, fmt.Errorf("open access log: %w", err)
		}
		options.AccessLog = f
		return options, f, nil
	}
	return options, io.NopCloser(nil), nil
}
