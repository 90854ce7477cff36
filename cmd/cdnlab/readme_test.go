package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cdnlab/topology"
)

// documented lists the commands of the README and of docs, without "cdnlab" in front and the remark behind.
func documented(t *testing.T) (commands []string) {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append([]string{"../../README.md"}, files...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if command, ok := strings.CutPrefix(line, "    cdnlab "); ok {
				command, _, _ = strings.Cut(command, "   ")
				commands = append(commands, strings.TrimSpace(command))
			}
		}
	}
	return commands
}

// TestEveryDocumentedCommandRuns runs them one after another beside a lab. The lab's own ports, how long "up" stays, and what it
// runs inside are the test's. Experiments take their time: TestExamples and the script run.txtar run them.
func TestEveryDocumentedCommandRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a few labs")
	}
	script := "exec cdnlab up --http-port=$HTTP --dns-port=$DNS --admin-port=$ADMIN --gateway-port=$GATEWAY &lab&\nready .cdnlab\n"
	other := " --data-dir other --http-port=$OTHERHTTP --dns-port=$OTHERDNS --admin-port=$OTHERADMIN --gateway-port=$OTHERGATEWAY --duration 1s"
	for _, command := range documented(t) {
		switch verb, rest, _ := strings.Cut(command, " "); verb {
		case "run", "bench":
			continue
		case "up":
			command = verb + other + " " + strings.Replace(rest, "-- npm test", "-- true", 1)
		}
		script += "exec sh -c 'cdnlab " + strings.ReplaceAll(command, "'", "''") + "'\n"
	}
	script += "kill -INT lab\nwait lab\n"
	file := filepath.Join(t.TempDir(), "documented.txtar")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	params := scriptParams(t)
	params.Files = []string{file}
	testscript.Run(t, params)
}

// TestTheReadmeIsTrue holds the commands of README and docs and the files of the README against the program: commands and flags exist, topology
// and experiment snippets are valid. That they do what is said is for the scripts and the end-to-end tests.
func TestTheReadmeIsTrue(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	checked := 0
	for _, command := range documented(t) {
		args := strings.Fields(command)
		root := (&app{}).rootCommand()
		cmd, rest, err := root.Find(args)
		if err != nil || cmd == root {
			t.Errorf("cdnlab %s: no such command: %v", command, err)
			continue
		}
		for _, arg := range rest {
			if arg == "--" || arg == ">" {
				break
			}
			name, isFlag := strings.CutPrefix(arg, "--")
			name, _, _ = strings.Cut(name, "=")
			if isFlag && cmd.Flag(name) == nil {
				t.Errorf("cdnlab %s: %s has no flag --%s", command, cmd.CommandPath(), name)
			}
		}
		checked++
	}
	if checked < 15 {
		t.Errorf("%d commands were found, want the many that there are", checked)
	}
	topologies, experiments := 0, 0
	for _, block := range regexp.MustCompile(`(?m)(^    .+\n)+`).FindAllString(readme, -1) {
		text := regexp.MustCompile(`(?m)^    `).ReplaceAllString(block, "")
		switch {
		case strings.HasPrefix(text, "version: 1\norigins:"):
			if _, err := topology.Parse("README.md", []byte(text), "", nil); err != nil {
				t.Error(err)
			}
			topologies++
		case strings.HasPrefix(text, "topology: "):
			if _, err := topology.ParseExperiment("README.md", []byte(text), "", nil, nil); err != nil {
				t.Error(err)
			}
			experiments++
		case strings.HasPrefix(text, "limits:"):
			if _, err := topology.Parse("README.md", []byte("origins: { main: { at: Ashburn } }\nedges: { paris: {} }\n"+text), "", nil); err != nil {
				t.Error(err)
			}
			topologies++
		}
	}
	if topologies != 2 || experiments != 1 {
		t.Errorf("%d topologies and %d experiments were found in the README, want 2 and 1", topologies, experiments)
	}
}
