import TesseraCore
package import TesseraImages

/// Where the captions of images come from.
public struct CaptionSource: Sendable {
  /// What manifests call it: `sidecar` or `manifest`.
  public let name: String
  private let rules: CaptionRules
  /// The table; nil for files beside the images.
  private let table: CaptionTable?

  /// The most bytes of one caption.
  static let longest = 1 << 20

  /// Files beside the images, or members of their archive: see ``sidecar(_:)``, with nothing chosen.
  public static let sidecar = sidecar(CaptionRules())

  /// Files beside the images, or members of their archive.
  ///
  /// Their name is the image's with `.txt`, `.caption`, or `.json`, whose field `caption`, `text`, `prompt` or
  /// `description` counts. In an archive the names up to their first dots are enough, as in WebDataset.
  public static func sidecar(_ rules: CaptionRules) -> CaptionSource {
    CaptionSource(name: "sidecar", rules: rules, table: nil)
  }

  private init(name: String, rules: CaptionRules, table: CaptionTable?) {
    self.name = name
    self.rules = rules
    self.table = table
  }

  /// A table of captions: CSV, TSV, JSON Lines or Parquet with a column of images (`file_name`, `image`, `path`,
  /// `source` or `key`) and one of texts (`caption` or `text`).
  ///
  /// - Throws: `TesseraError` for a file of another kind.
  public init(manifest path: String, rules: CaptionRules = CaptionRules()) throws {
    self.init(
      name: "manifest",
      rules: rules,
      table: try CaptionTable(path: path, rules: rules)
    )
  }

  /// Finds the captions of images.
  ///
  /// - Parameter inputs: The images.
  /// - Returns: What gives the caption of each.
  /// - Throws: `TesseraError` that names the line of a table, and where an archive cannot be read.
  package func captions(of inputs: [ImageInput]) throws -> CaptionLookup {
    if let table {
      return CaptionLookup(.table(try TableCaptions(table, rules: rules, of: inputs)))
    }
    return CaptionLookup(
      .sidecars(try SidecarCaptions(rules: rules, of: inputs)),
      endings: rules.endings
    )
  }
}

/// Finds the caption of one image.
package struct CaptionLookup: Sendable {
  fileprivate enum Kind {
    case table(TableCaptions)
    case sidecars(SidecarCaptions)
  }

  private let kind: Kind
  /// The endings of sidecars; empty for a table.
  private let endings: [String]

  fileprivate init(_ kind: Kind, endings: [String] = []) {
    self.kind = kind
    self.endings = endings
  }

  /// The caption of an image; nil where there is none.
  ///
  /// - Parameters:
  ///   - input: The image.
  ///   - index: Its number among those that the lookup was made for.
  /// - Returns: The text.
  /// - Throws: `TesseraError` where there is one that cannot be used, or where this machine
  ///   cannot read it.
  package func caption(of input: ImageInput, at index: Int) throws -> String? {
    switch kind {
    case .sidecars(let sidecars): return try sidecars.caption(of: input, at: index)
    case .table(let table):
      do throws(CaptionFault) {
        return try table.caption(at: index)
      } catch {
        throw TesseraError.malformed("its caption: \(error)", file: input.source)
      }
    }
  }

  /// Completes what was counted over all images by the captions that are of none.
  ///
  /// - Throws: `TesseraError` where not one image has a caption.
  func account(of counts: CaptionCounts) throws(TesseraError) -> CaptionCounts {
    var counts = counts
    switch kind {
    case .table(let table):
      counts.unused = CaptionCounts.Unused(count: table.unused, name: "rows of the table")
    case .sidecars(let sidecars):
      counts.unused = sidecars.unused.map {
        CaptionCounts.Unused(count: $0, name: "texts in archives")
      }
    }
    guard counts.missing == 0 || counts.matched + counts.empty + counts.refused > 0 else {
      let names = endings.map { ".\($0)" }.joined(separator: ", ")
      throw TesseraError.mismatch(
        "not one of \(counts.missing) images has a caption beside it (its name with \(names)); for other endings "
          + "--caption-ending, for a table --captions FILE",
        file: counts.bare ?? ""
      )
    }
    return counts
  }
}
