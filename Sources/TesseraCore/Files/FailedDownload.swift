/// What stands in the place of a file that was not downloaded: a pointer, a page, nothing.
package enum FailedDownload {
  /// What a file's first bytes say it is instead of what was wanted, and what to do.
  ///
  /// - Parameter start: The first bytes, at least 64 where there are so many.
  /// - Returns: The words; nil where the bytes do not say so.
  package static func words(for start: some Collection<UInt8>) -> String? {
    if start.isEmpty { return "an empty file: its download failed; get it again" }
    let text = String(decoding: start.prefix(256), as: UTF8.self)
    if text.hasPrefix("version https://git-lfs.github.com/spec/")
      || text.hasPrefix("version https://hawser.github.com/spec/")
    {
      return "a Git LFS pointer, not the file: fetch it with 'git lfs pull'"
    }
    if text.hasPrefix("# xet version") {
      return "a Xet pointer, not the file: fetch it with 'git xet' or Hugging Face's 'hf download'"
    }
    let first = text.drop { $0.isWhitespace || $0 == "\u{FEFF}" }.prefix(15).lowercased()
    if first.hasPrefix("<!doctype html") || first.hasPrefix("<html") {
      return
        "a web page, not the file: download it again from the link of the file itself, logged in "
        + "where that is asked for"
    }
    if first.hasPrefix("<?xml") {
      return
        "an XML text, not the file: servers answer so where a download is refused; get it again"
    }
    return nil
  }

  /// The words for a file, where its first bytes say so.
  ///
  /// - Throws: `TesseraError`.
  package static func words(for region: FileRegion) throws(TesseraError) -> String? {
    words(for: try region.bytes(0..<min(256, region.length)))
  }
}
