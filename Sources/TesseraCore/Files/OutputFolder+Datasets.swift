import Foundation

extension OutputFolder {
  private static let manifest = "dataset.json"
  private static let plan = ".tessera/plan"
  private static let lock = ".tessera/lock"

  /// Refuses an output in a dataset, finished or planned, or in a folder in which another run works.
  ///
  /// - Parameter path: A file, or a folder that is still to be made.
  /// - Throws: ``TesseraError``.
  package static func refuseDataset(around path: String) throws {
    // Names that are not there yet are below the deepest folder that is.
    var folder = path
    while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
    var real: String?
    var isParent = true
    repeat {
      let parent = AtomicFile.folder(of: folder)
      if parent == folder { return }
      folder = parent.isEmpty ? "/" : parent
      real = resolved(folder)
      if real == nil { isParent = false }
    } while real == nil && folder != "/" && folder != "."
    guard var place = real else { return }
    while true {
      try refuseDataset(in: place, for: path, believing: isParent)
      guard place != "/" else { return }
      place = AtomicFile.folder(of: place)
      if place.isEmpty { place = "/" }
      isParent = false
    }
  }

  /// Refuses an output below one folder; a file of the manifest's name that is not believed must also begin
  /// as a manifest.
  private static func refuseDataset(
    in folder: String,
    for output: String,
    believing isBelieved: Bool
  ) throws {
    if let kind = kind(of: "\(folder)/\(manifest)"), kind == S_IFREG,
      isBelieved || isManifest("\(folder)/\(manifest)")
    {
      throw TesseraError.outputInDataset(output, folder: folder, entry: manifest)
    }
    if kind(of: "\(folder)/\(plan)") != nil {
      throw TesseraError.outputInDataset(output, folder: folder, entry: plan)
    }
    let descriptor = unsafe open("\(folder)/\(lock)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return }
    defer { _ = close(descriptor) }
    // Free: a killed run left it. Taken for this moment only.
    guard flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
    throw TesseraError.outputInUse(folder)
  }

  /// Whether a file begins as manifests do: further up there may be files of this name that are others'.
  private static func isManifest(_ path: String) -> Bool {
    guard let file = FileHandle(forReadingAtPath: path) else { return false }
    defer { try? file.close() }
    let start = (try? file.read(upToCount: 1 << 12)) ?? Data()
    return String(decoding: start, as: UTF8.self).contains("\"columns\"")
  }

  /// Whether two paths of outputs, which need not be there yet, are one.
  package static func isSameFile(_ first: String, _ second: String) -> Bool {
    func place(_ path: String) -> String {
      let folder = AtomicFile.folder(of: path)
      let parent = folder.isEmpty ? "/" : folder
      return "\(resolved(parent) ?? parent)/\(AtomicFile.name(of: path))"
    }
    return place(first) == place(second)
  }

  private static func kind(of path: String) -> mode_t? {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
  }

  private static func resolved(_ path: String) -> String? {
    guard let real = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }
}
