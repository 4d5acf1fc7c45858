#!/bin/bash
# A SCEP client of nothing but bash, openssl and curl: what each message is made of, octet by octet.
#
#   scep_client.sh URL TYPE CONTENT SIGNER_CERT SIGNER_KEY TRANSACTION_ID FOLDER
#
# Sends CONTENT (DER) as a message of TYPE (19 PKCSReq, 17 RenewalReq, 20 CertPoll, 21 GetCert,
# 22 GetCRL), sealed to the RA certificate that the server gives and signed with SIGNER_KEY (RSA).
# Prints "STATUS FAILINFO"; what was sealed in the answer is left in FOLDER/answer.p7.
set -euo pipefail
url=$1 type=$2 content=$3 cert=$4 key=$5 transaction=$6 dir=$7

hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() { printf "$(sed 's/../\\x&/g')"; }
tlv() { # tag, content; all in hex
    local length=$((${#2} / 2)) octets
    if ((length < 128)); then printf '%s%02x%s' "$1" "$length" "$2"; return; fi
    octets=$(printf '%x' "$length"); ((${#octets} % 2)) && octets=0$octets
    printf '%s%02x%s%s' "$1" $((128 + ${#octets} / 2)) "$octets" "$2"
}
attribute() { tlv 30 "$1$(tlv 31 "$2")"; } # OBJECT IDENTIFIER, value
scep() { attribute "060a6086480186f8450109$1" "$2"; }
printable() { tlv 13 "$(printf %s "$1" | hex)"; }
sorted() { printf '%s\n' "$@" | LC_ALL=C sort | tr -d '\n'; }

# The server's certificates: the RA's is the one with keyEncipherment.
curl -fsS "$url?operation=GetCACert" | openssl pkcs7 -inform DER -print_certs |
    awk -v dir="$dir" '/BEGIN/ { n++ } n { print > (dir "/ca-" n ".pem") }'
for each in "$dir"/ca-*.pem; do
    openssl x509 -in "$each" -noout -ext keyUsage 2>&1 | grep -q 'Key Encipherment' && ra=$each
done

# The envelope, and the signed attributes over it.
openssl cms -encrypt -binary -outform DER -aes-128-cbc -in "$content" -out "$dir/envelope" "$ra"
data=06092a864886f70d010701
digest=$(openssl dgst -sha256 -binary "$dir/envelope" | hex)
attributes=$(sorted \
    "$(attribute 06092a864886f70d010903 "$data")" \
    "$(attribute 06092a864886f70d010904 "$(tlv 04 "$digest")")" \
    "$(scep 02 "$(printable "$type")")" \
    "$(scep 05 "$(tlv 04 "$(openssl rand -hex 16)")")" \
    "$(scep 07 "$(printable "$transaction")")")
signature=$(tlv 31 "$attributes" | unhex | openssl dgst -sha256 -sign "$key" | hex)

# The SignedData around it. Name and serial number are cut out of the certificate.
der=$(openssl x509 -in "$cert" -outform DER | hex)
part() { # the whole element that is the n-th at depth 2 of the certificate
    local at header length
    read -r at header length < <(openssl x509 -in "$cert" -outform DER |
        openssl asn1parse -inform DER | grep ':d=2 ' | sed -n "$1p" |
        sed -E 's/^ *([0-9]+):d=2 +hl=([0-9]+) +l= *([0-9]+).*/\1 \2 \3/')
    printf %s "${der:$((at * 2)):$(((header + length) * 2))}"
}
sha256=$(tlv 30 06096086480165030402010500)
rsa=$(tlv 30 06092a864886f70d0101010500)
signer=$(tlv 30 "020101$(tlv 30 "$(part 4)$(part 2)")$sha256$(tlv a0 "$attributes")$rsa$(tlv 04 "$signature")")
content_info=$(tlv 30 "$data$(tlv a0 "$(tlv 04 "$(hex <"$dir/envelope")")")")
signed=$(tlv 30 "020101$(tlv 31 "$sha256")$content_info$(tlv a0 "$der")$(tlv 31 "$signer")")
tlv 30 "06092a864886f70d010702$(tlv a0 "$signed")" | unhex >"$dir/message"

# The answer: its signature is verified against the CA, and then its attributes are looked at.
curl -fsS --data-binary "@$dir/message" "$url?operation=PKIOperation" -o "$dir/reply"
cat "$dir"/ca-*.pem >"$dir/cas.pem"
verify() { openssl cms -verify -inform DER -binary -purpose any -CAfile "$dir/cas.pem" "$@"; }
printed=$(openssl cms -cmsout -print -inform DER -in "$dir/reply" -noout)
said() { grep -A3 "2.16.840.1.113733.1.9.$1)" <<<"$printed" | sed -nE 's/.*PRINTABLESTRING:([0-9]+).*/\1/p'; }
status=$(said 3)
if [[ $status == 0 ]]; then
    verify -in "$dir/reply" -out "$dir/sealed" 2>/dev/null
    openssl cms -decrypt -inform DER -binary -in "$dir/sealed" -recip "$cert" -inkey "$key" \
        -out "$dir/answer.p7"
else
    verify -in "$dir/reply" -content /dev/null >/dev/null 2>&1
fi
echo "$status $(said 4)"
