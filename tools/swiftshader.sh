#!/usr/bin/env bash
# swiftshader.sh - prints the path of SwiftShader's ICD file, or exits with 1.
#
# SwiftShader is a Vulkan driver for CPUs that comes inside Chromium and Chrome;
# PUMICE_SWIFTSHADER_ICD names another place.
for icd in "${PUMICE_SWIFTSHADER_ICD:-}" \
  /usr/lib/chromium/vk_swiftshader_icd.json \
  /usr/lib64/chromium-browser/vk_swiftshader_icd.json \
  /opt/google/chrome/vk_swiftshader_icd.json \
  /snap/chromium/current/usr/lib/chromium-browser/vk_swiftshader_icd.json; do
  if [ -r "$icd" ]; then
    printf '%s\n' "$icd"
    exit 0
  fi
done
exit 1
