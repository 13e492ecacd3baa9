import ArgumentParser
import TesseraDatasets
import TesseraImages

/// Which of several captions of one image counts, as `--captions-per-image` takes it.
struct CaptionChoice: ExpressibleByArgument {
  let choice: CaptionRules.Choice

  init?(argument: String) {
    switch argument {
    case "first": choice = .first
    case "all": choice = .all
    default:
      let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0] == "random", let seed = UInt64(parts[1]) else { return nil }
      choice = .random(seed: seed)
    }
  }
}

/// Where the captions of images come from.
struct CaptionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Where captions come from: none, sidecar, or a .csv, .tsv, .jsonl or .parquet with columns file_name and \
      caption. (default: none)
      """,
      discussion: """
        sidecar: NAME.txt, else NAME.caption, else NAME.json beside each image or in its archive, where names count \
        up to their first dot as in WebDataset. A table's paths lead from its own folder, from the input's or from \
        the working one; an end of a path is enough where one image and one row have it. Those of a metadata.csv, \
        .jsonl or .parquet inside an input lead from its own folder alone, as for Hugging Face's imagefolder.
        """
    ),
    completion: .file()
  )
  var captions: String?

  @Option(
    help: ArgumentHelp(
      "The column or field that holds captions. (default: caption, text, prompt or description)",
      valueName: "name"
    )
  )
  var captionColumn: String?

  @Option(
    help: ArgumentHelp(
      "What names of sidecars end in, such as .caption; .json is read as JSON, all else as text.",
      valueName: "ending"
    )
  )
  var captionEnding: String?

  @Option(
    help: ArgumentHelp(
      "What is between the fields of a .csv or .tsv: comma, semicolon, tab or one character. (default: by header)",
      valueName: "delimiter"
    )
  )
  var captionDelimiter: String?

  @Option(
    help: ArgumentHelp(
      """
      Which of several captions (rows, or a list in JSON) an image gets: first, random:SEED, or all, joined by \
      line feeds. (default: several are an error)
      """,
      valueName: "choice"
    )
  )
  var captionsPerImage: CaptionChoice?

  /// Whether nothing was set.
  var isDefault: Bool { captions == nil && !hasRules }

  private var hasRules: Bool {
    captionColumn != nil || captionEnding != nil || captionDelimiter != nil
      || captionsPerImage != nil
  }

  /// Whether captions come from a table.
  private var isTable: Bool { ![nil, "none", "sidecar"].contains(captions) }

  func validate() throws {
    if hasRules, captions == nil || captions == "none" {
      throw ValidationError("options of captions need --captions")
    }
    if let captionEnding {
      let ending = plain(captionEnding)
      guard captions == "sidecar" else {
        throw ValidationError("--caption-ending belongs to --captions sidecar")
      }
      guard !ending.isEmpty, !ending.contains("/"), !ending.contains("\0") else {
        throw ValidationError("--caption-ending: '\(captionEnding)' ends no file's name")
      }
    }
    if let captionDelimiter {
      guard isTable else {
        throw ValidationError("--caption-delimiter belongs to a table of captions")
      }
      guard delimiter(captionDelimiter) != nil else {
        throw ValidationError(
          "--caption-delimiter: '\(captionDelimiter)' is not comma, semicolon, tab or one ASCII character that can "
            + "stand between fields"
        )
      }
    }
  }

  private func plain(_ ending: String) -> String {
    ending.hasPrefix(".") ? String(ending.dropFirst()) : ending
  }

  private func delimiter(_ name: String) -> UInt8? {
    switch name {
    case "comma": UInt8(ascii: ",")
    case "semicolon": UInt8(ascii: ";")
    case "tab", "\\t": UInt8(ascii: "\t")
    default:
      name.utf8.count == 1 && !["\"", "\n", "\r", "\0"].contains(name)
        ? name.utf8.first.flatMap { $0 < 0x80 ? $0 : nil } : nil
    }
  }

  /// Where captions come from; nil for none.
  var source: TokenizationRequest.Captions? {
    switch captions {
    case nil, "none": nil
    case "sidecar": .sidecar
    case let file?: .manifest(file)
    }
  }

  /// What is chosen about them.
  var rules: CaptionRules {
    var rules = CaptionRules()
    rules.column = captionColumn
    rules.ending = captionEnding.map(plain)
    rules.delimiter = captionDelimiter.flatMap(delimiter)
    rules.choice = captionsPerImage?.choice
    return rules
  }
}
