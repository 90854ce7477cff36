// Cdnlab is a whole content delivery network on one machine: geo-DNS, edges, regional hubs and an origin, started from one
// topology file. Run "cdnlab help" for its commands.
//
// Each command has a file of its name, which decodes arguments, calls one thing and prints what it returns. Data goes to
// standard output, logs and errors to standard error. Exit codes are in exit.go.
package main
