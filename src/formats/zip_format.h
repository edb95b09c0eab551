/* Signatures, sizes and bits of the zip format (PKWARE APPNOTE 6.3.10, section 4.3). */
#ifndef MS_FORMATS_ZIP_FORMAT_H
#define MS_FORMATS_ZIP_FORMAT_H

#define ZIP_LOCAL 0x04034b50u
#define ZIP_LOCAL_BYTES 30
#define ZIP_CENTRAL 0x02014b50u
#define ZIP_CENTRAL_BYTES 46
#define ZIP_END 0x06054b50u
#define ZIP_END_BYTES 22
#define ZIP64_END 0x06064b50u
#define ZIP64_END_BYTES 56
#define ZIP64_LOCATOR 0x07064b50u
#define ZIP64_LOCATOR_BYTES 20

#define ZIP64_EXTRA 0x0001
#define ZIP_PADDING_EXTRA 0x4246 /* "FB": torch's, to align a member's data */

#define ZIP_STORED 0
#define ZIP_ENCRYPTED 0x0001
#define ZIP_PATCHED 0x0020
#define ZIP_UTF8 0x0800
#define ZIP_MASKED 0x2000

#endif
