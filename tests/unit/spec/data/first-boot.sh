#!/bin/sh
touch /var/lib/first-boot
